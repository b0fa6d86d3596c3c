import type { OutgoingHttpHeaders } from 'node:http';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { openMessage, readMessagesRequest } from '../messages/index.ts';
import { openResponse, readResponsesRequest } from '../responses/index.ts';
import { readChatRequest, type ChatTranslation } from '../wire/index.ts';
import { readJson } from './body.ts';
import { leaseToTell } from './chat.ts';
import { serveChatOnce } from './idempotency.ts';
import { utf8 } from './mouth.ts';
import { chatFault } from './send.ts';
import type { Answer, Call, Outlet, Running, Streamed } from './types.ts';

/**
 * Other APIs for the same thing. A request is said as a chat call, which is routed, held, charged, relayed and repeated like any other, and
 * only its answer is told in the other words. Source: facts of the ecosystem, B.5.
 */

const EVENT_END = '\n\n';
const DATA = 'data: ';

/** Opens the answer to a request. @param id of the call whose answer it is: a repeat tells the first one's, under its name */
type Open = (id: string) => ChatTranslation;

/** A request of another API, read. */
interface Asked {
  /** The body of the chat call that asks the same. */
  readonly chat: Readonly<Record<string, unknown>>;
  readonly open: Open;
}

/** `POST /v1/responses`: OpenAI's other API, of which nothing is kept here. @throws Fault as a chat call */
export async function serveResponses(running: Running, call: Call, owner: KeyOwner): Promise<Answer | Streamed> {
  return serveTranslated(running, call, owner, (raw) => {
    const { chat, wishes } = readResponsesRequest(raw);
    return { chat, open: (id) => openResponse(id, wishes) };
  });
}

/** `POST /v1/messages`: Anthropic's API. @throws Fault as a chat call */
export async function serveMessages(running: Running, call: Call, owner: KeyOwner): Promise<Answer | Streamed> {
  return serveTranslated(running, call, owner, (raw) => {
    const { chat, stream, names } = readMessagesRequest(raw);
    const known = { names, ...(stream ? { promptEstimate: promptEstimateOf(running, chat) } : {}) };
    return { chat, open: (id) => openMessage(id, stream, known) };
  });
}

/** `POST /v1/messages/count_tokens`: our own estimate, for no provider is asked. @throws Fault for what cannot be said in chat */
export async function countTokens(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { chat } = readMessagesRequest(await readOther(running, call));
  return { status: 200, body: { input_tokens: promptEstimateOf(running, chat) }, billing: { mode: 'standard', cost: 0n, balance: owner.balance } };
}

function promptEstimateOf({ settings }: Running, chat: Asked['chat']): number {
  const { pictureTokens, mediaTokens } = settings.billing;
  return readChatRequest(chat, { pictureTokens, mediaTokens, routingHeader: undefined }).promptEstimate;
}

/** The body, parsed, said anew and let go of within one turn: nothing of it is on the heap when another body is. */
function readOther(running: Running, call: Call): Promise<unknown> {
  return readJson(call, running.settings.limits, { arriving: running.load.arriving, weigh: () => undefined });
}

/** The chat call that asks the same. Its body alone holds the request, and who serves it lets go of that once it is read. */
async function askingOf(running: Running, call: Call, read: (raw: unknown) => Asked): Promise<{ readonly asking: Call; readonly open: Open }> {
  const { chat, open } = read(await readOther(running, call));
  return { asking: { ...call, body: Buffer.from(JSON.stringify(chat)), res: new TranslatedOutlet(call, open) }, open };
}

/** @param read says the request anew; throws a Fault for what cannot be said in chat, which is told as a chat call's */
async function serveTranslated(running: Running, call: Call, owner: KeyOwner, read: (raw: unknown) => Asked): Promise<Answer | Streamed> {
  let begun: Awaited<ReturnType<typeof askingOf>>;
  try {
    begun = await askingOf(running, call, read);
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    return chatFault(call, cause, { mode: 'standard', cost: 0n, balance: owner.balance }, { lease: await leaseToTell(running, owner, undefined) });
  }
  const { asking, open } = begun;
  const answer = await serveChatOnce(running, asking, owner);
  if ('streamed' in answer || answer.status !== 200 || typeof answer.body === 'string') return answer;
  const told = open(answer.headers?.['x-request-id'] ?? call.id);
  told.take(answer.body);
  told.finish();
  return { ...answer, body: told.whole() };
}

/** Where a chat stream is written that a client of another API reads. Comments (silence, cost) pass as they are. */
class TranslatedOutlet implements Outlet {
  readonly #res: Outlet;
  readonly #open: Open;
  #answer: ChatTranslation;
  /** The beginning of an event that is not whole. */
  #rest = '';

  constructor({ res, id }: Pick<Call, 'res' | 'id'>, open: Open) {
    this.#res = res;
    this.#open = open;
    this.#answer = open(id);
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
    if (typeof id === 'string') this.#answer = this.#open(id);
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
    // Whoever waits for the last event is told that it will not come.
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
