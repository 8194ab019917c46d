import { closeSync, openSync, readSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';

/** Read at once, and sent in one write with the headers. */
const SMALL_BYTES = 64 * 1024;
/** With less, the trips through the thread pool are what is measured. */
const PIECE_BYTES = 1024 * 1024;

/** Sends a part of a file as the rest of an answer whose headers are set; the next piece is read while one is sent. */
export async function sendFile(response: ServerResponse, path: string, start: number, length: number): Promise<void> {
  if (length <= SMALL_BYTES) return void response.end(readSmall(path, start, length));
  const file = await open(path, 'r');
  try {
    await pump(file, response, start, length);
  } finally {
    await file.close();
  }
}

function readSmall(path: string, start: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  const fd = openSync(path, 'r');
  try {
    let at = 0;
    for (let count = -1; at < length && count !== 0; at += count)
      count = readSync(fd, buffer, at, length - at, start + at);
    return buffer.subarray(0, at);
  } finally {
    closeSync(fd);
  }
}

async function pump(file: FileHandle, response: ServerResponse, start: number, length: number): Promise<void> {
  const free = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
  let sent: Promise<void> = Promise.resolve();
  for (let at = 0; at < length && !response.destroyed;) {
    const buffer = free.shift() ?? Buffer.allocUnsafe(PIECE_BYTES);
    const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, length - at), start + at);
    // Shorter than it was: whoever reads must not take it for whole.
    if (bytesRead === 0) return void response.destroy();
    at += bytesRead;
    await sent;
    sent = write(response, buffer.subarray(0, bytesRead)).then(() => void free.push(buffer));
  }
  await sent;
  response.end();
}

/** Resolves when the bytes have left, and their memory may be used again; or when nobody will read them any more. */
function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise(resolve => {
    const gone = (): void => resolve();
    response.once('close', gone);
    response.write(bytes, () => {
      response.off('close', gone);
      resolve();
    });
  });
}
