import type { IncomingMessage, ServerResponse } from 'node:http';

/** The codes of distribution-spec v1.1.1, "Error Codes". */
export type SpecErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNKNOWN';

/** A request that is refused: thrown by whoever finds out, answered in one place. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly code: SpecErrorCode,
    readonly message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly detail?: unknown,
  ) {}
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** GET, also for HEAD: only what is sent differs. */
  readonly method: string;
  readonly url: URL;
}

/** Sends a whole answer. For HEAD `node:http` leaves the body out, and keeps its length. */
export function send(
  { response }: Exchange,
  status: number,
  headers: Readonly<Record<string, string | readonly string[]>>,
  body: Uint8Array = empty,
): void {
  // Without content there is to be no length: RFC 9110, section 8.6.
  const length = status === 204 || status === 304 ? {} : { 'content-length': String(body.length) };
  response.writeHead(status, { ...length, ...headers } as Record<string, string | string[]>).end(body);
}

const empty = new Uint8Array(0);

export function sendJson(
  exchange: Exchange,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(exchange, status, { 'content-type': 'application/json', ...headers }, Buffer.from(JSON.stringify(value)));
}

export function refuse(exchange: Exchange, { status, code, message, headers, detail }: Refusal): void {
  const { response } = exchange;
  const errors = [{ code, message, ...(detail !== undefined && { detail }) }];
  if (response.headersSent) return void response.destroy();
  // Node reads what is still to come and throws it away; of what is too large anyhow that would never end.
  sendJson(exchange, status, { errors }, { ...headers, ...(status === 413 && { connection: 'close' }) });
}
