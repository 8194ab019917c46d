import type { IncomingMessage, ServerResponse } from 'node:http';

/** How a registry misbehaves. */
export type Fault =
  /** Answers with a status and, where given, headers and a body. */
  | {
      readonly type: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  /** Answers as it should, but with these headers instead of its own; `undefined` takes one away. */
  | { readonly type: 'headers'; readonly headers: Readonly<Record<string, string | undefined>> }
  /** Sends the first bytes of the body and closes the connection. */
  | { readonly type: 'cut'; readonly after: number }
  /** Closes the connection instead of answering. */
  | { readonly type: 'hang-up' }
  /** Sends the first bytes of the body, and then nothing more. */
  | { readonly type: 'stall'; readonly after: number }
  /** Never answers. */
  | { readonly type: 'silence' }
  /** Changes the body, and its length with it. */
  | { readonly type: 'change'; readonly change: (body: Buffer) => Buffer }
  /** Does not know ranges. */
  | { readonly type: 'ignore-range' }
  /** Sends this many bytes of nothing, with or without saying so first. */
  | { readonly type: 'huge'; readonly bytes: number; readonly announced: boolean; sent?: number }
  /** Points to the same path on another host, or wherever `to` says. */
  | { readonly type: 'redirect'; readonly to: string | ((path: string) => string); readonly status?: number };

/** Plays a fault: either all of the answer, or a change to the one that follows. */
export function playFault(fault: Fault, request: IncomingMessage, response: ServerResponse): 'played' | 'goes on' {
  switch (fault.type) {
    case 'status':
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return 'played';
    case 'redirect': {
      const { to, status = 307 } = fault;
      const path = request.url ?? '/';
      const location = typeof to === 'string' ? `http://${to}${path}` : to(path);
      response.writeHead(status, { location, 'content-length': '0' }).end();
      return 'played';
    }
    case 'hang-up':
      response.destroy();
      return 'played';
    case 'silence':
      return 'played';
    case 'huge':
      void sendHuge(fault, response);
      return 'played';
    case 'ignore-range':
      delete request.headers.range;
      return 'goes on';
    case 'headers':
    case 'cut':
    case 'stall':
    case 'change':
      changeAnswer(fault, response);
      return 'goes on';
  }
}

type Change = Extract<Fault, { type: 'headers' | 'cut' | 'stall' | 'change' }>;

/** All answers are written by one `writeHead` and one `end`. */
function changeAnswer(fault: Change, response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response);
  const end = response.end.bind(response);
  let status = 200;
  let headers: Record<string, string> = {};
  response.writeHead = ((code: number, given: Record<string, string>) => {
    [status, headers] = [code, given];
    return response;
  }) as ServerResponse['writeHead'];
  response.end = ((body: Buffer = Buffer.alloc(0)) => {
    const bytes = fault.type === 'change' ? fault.change(body) : body;
    if (fault.type === 'change') headers = { ...headers, 'content-length': String(bytes.length) };
    if (fault.type === 'headers') headers = override(headers, fault.headers);
    writeHead(status, headers);
    if (fault.type === 'cut') response.write(bytes.subarray(0, fault.after), () => response.destroy());
    else if (fault.type === 'stall') response.write(bytes.subarray(0, fault.after));
    else end(bytes);
    return response;
  }) as ServerResponse['end'];
}

function override(
  headers: Record<string, string>,
  changes: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const all = Object.entries({ ...headers, ...changes });
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

async function sendHuge(fault: Extract<Fault, { type: 'huge' }>, response: ServerResponse): Promise<void> {
  const length = fault.announced ? { 'content-length': String(fault.bytes) } : {};
  response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json', ...length });
  const block = Buffer.alloc(64 * 1024, ' ');
  fault.sent = 0;
  const closed = new Promise<'closed'>(resolve => response.once('close', () => resolve('closed')));
  while (fault.sent < fault.bytes) {
    const size = Math.min(block.length, fault.bytes - fault.sent);
    fault.sent += size;
    const written = new Promise<'written'>(resolve =>
      response.write(block.subarray(0, size), () => resolve('written')),
    );
    if ((await Promise.race([written, closed])) === 'closed') return;
  }
  response.end();
}
