import type { OutgoingHttpHeaders } from 'node:http';
import type { KeyOwner } from '../ledger/index.ts';
import { openResponse, readResponsesRequest, type ResponseAnswer, type Wishes } from '../responses/index.ts';
import { readJson } from './body.ts';
import { serveChatOnce } from './idempotency.ts';
import { utf8 } from './mouth.ts';
import type { Answer, Call, Outlet, Running, Streamed } from './types.ts';

const EVENT_END = '\n\n';
const DATA = 'data: ';

/**
 * `POST /v1/responses`: OpenAI's other API, of which nothing is kept here. It is said as a chat call, which is routed, held, charged,
 * relayed and repeated like any other, and only its answer is told in the other words. Source: facts of the ecosystem, B.5.
 * @throws Fault invalid_request and what a body may be refused for
 */
export async function serveResponses(running: Running, call: Call, owner: KeyOwner): Promise<Answer | Streamed> {
  const { limits } = running.settings;
  // Parsed, said anew and let go of within one turn: nothing of it is on the heap when another body is.
  const { chat, wishes } = readResponsesRequest(await readJson(call, limits, { arriving: running.load.arriving, weigh: () => undefined }));
  const asked: Call = { ...call, body: Buffer.from(JSON.stringify(chat)), res: new ResponsesOutlet(call.res, call.id, wishes) };
  const answer = await serveChatOnce(running, asked, owner);
  if ('streamed' in answer || answer.status !== 200 || typeof answer.body === 'string') return answer;
  const told = openResponse(answer.headers?.['x-request-id'] ?? call.id, wishes);
  told.take(answer.body);
  told.finish();
  return { ...answer, body: told.response() };
}

/** Where a chat stream is written that a client of the other API reads. Comments (silence, cost) pass as they are. */
class ResponsesOutlet implements Outlet {
  readonly #res: Outlet;
  readonly #wishes: Wishes;
  #answer: ResponseAnswer;
  /** The beginning of an event that is not whole. */
  #rest = '';

  constructor(res: Outlet, id: string, wishes: Wishes) {
    this.#res = res;
    this.#wishes = wishes;
    this.#answer = openResponse(id, wishes);
  }

  get headersSent(): boolean {
    return this.#res.headersSent;
  }

  get destroyed(): boolean {
    return this.#res.destroyed;
  }

  get writableEnded(): boolean {
    return this.#res.writableEnded;
  }

  get writableNeedDrain(): boolean {
    return this.#res.writableNeedDrain;
  }

  writeHead(status: number, headers: OutgoingHttpHeaders): void {
    const id = headers['x-request-id'];
    // A repeat hears the first call's answer, under its name.
    if (typeof id === 'string') this.#answer = openResponse(id, this.#wishes);
    this.#res.writeHead(status, headers);
  }

  write(bytes: string): boolean {
    const text = this.#rest + bytes;
    let events = '';
    let from = 0;
    for (let end = text.indexOf(EVENT_END); end !== -1; end = text.indexOf(EVENT_END, from)) {
      events += this.#translated(text.slice(from, end));
      from = end + EVENT_END.length;
    }
    this.#rest = text.slice(from);
    return events === '' ? !this.#res.writableNeedDrain : this.#res.write(events, 'latin1');
  }

  addTrailers(trailers: OutgoingHttpHeaders): void {
    this.#res.addTrailers(trailers);
  }

  end(): void {
    // Whoever waits for `response.completed` is told that it will not come.
    if (this.#res.headersSent && !this.#answer.over) this.#res.write(utf8(this.#answer.fail(undefined)), 'latin1');
    this.#res.end();
  }

  on(event: 'drain', listener: () => void): void {
    this.#res.on(event, listener);
  }

  off(event: 'drain', listener: () => void): void {
    this.#res.off(event, listener);
  }

  /** One event or comment, one character a byte. */
  #translated(event: string): string {
    if (!event.startsWith(DATA)) return event + EVENT_END;
    const data = Buffer.from(event.slice(DATA.length), 'latin1').toString('utf8');
    if (data === '[DONE]') return utf8(this.#answer.finish());
    const chunk: unknown = JSON.parse(data);
    const failed = typeof chunk === 'object' && chunk !== null && 'error' in chunk ? chunk.error : undefined;
    return utf8(failed === undefined ? this.#answer.take(chunk) : this.#answer.fail(failed));
  }
}
