import { parseUsd } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import { EXIT, Refusal } from '../failure.ts';
import { counted, dollars } from '../format.ts';
import { printableLines } from '../printable.ts';
import { talk } from '../talk.ts';
import type { Talk } from '../talk.ts';

const KEY_VARIABLE = 'FINDTOKEN_API_KEY';

export const CHAT: Verb = {
  usage: 'chat [model]',
  about: `send one message through the running daemon; with the key of ${KEY_VARIABLE}, else one made for this call and revoked after it`,
  brief: 'send one message through the running daemon',
  options: [{ flags: '-m, --message <text>', about: 'the message', required: true }],
  examples: ['findtoken chat deepseek-chat -m "Say hello."'],
  run: chat,
};

async function chat({ context, args, given }: Call): Promise<void> {
  const { catalog } = await context.settings();
  const [model = [...catalog.models.keys()][0] ?? ''] = args;
  const left = new AbortController();
  // The key of this call must be revoked even where a person has had enough of waiting.
  context.leaveSignals();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => left.abort());
  const { url, key, revoke } = await context.write((books) => prepare(context, books));
  let isMidLine = false;
  const onText = (text: string): void => {
    if (context.json) return;
    isMidLine = !text.endsWith('\n');
    // A model's lines stay lines; everything else in them that is no text is shown as an escape.
    context.terminal.write(context.terminal.width === undefined ? text : printableLines(text));
  };
  try {
    const answer = await talk({ url, key, model, message: given.needed('message'), signal: left.signal, onText });
    if (context.json) context.show(documentOf(answer), () => '');
    endLine(context, isMidLine);
    context.terminal.note(summaryOf(answer));
  } catch (error) {
    endLine(context, isMidLine);
    if (left.signal.aborted) throw new Refusal('interrupted.', EXIT.interrupted);
    throw error;
  } finally {
    await revoke();
  }
}

interface Prepared {
  readonly url: string;
  readonly key: string;
  readonly revoke: () => Promise<void>;
}

async function prepare(context: Context, books: Books): Promise<Prepared> {
  const news = await readNews(books.ledger, books.nowMs());
  if (news === undefined) throw new Refusal('the daemon is not running; start it with `findtoken serve`.');
  const { url } = news.state;
  const ready = context.env[KEY_VARIABLE] ?? '';
  if (ready !== '') return { url, key: ready, revoke: async () => undefined };
  const { createKey, OWN_KEYS, resolveAccount, revokeKey } = await import('../../accounts/index.ts');
  const { id: accountId } = await resolveAccount(books, context.account);
  const { id: keyId, key } = await createKey(books, { accountId, name: OWN_KEYS.chat });
  return { url, key, revoke: () => context.write((again) => revokeKey(again, { accountId, keyId })) };
}

/** Half an answer ends its line, too, before anything is said of it. */
function endLine(context: Context, isMidLine: boolean): void {
  if (isMidLine) context.terminal.write('\n');
}

function summaryOf({ requestId, provider, model, usage, latencyMs }: Talk): string {
  const cost = usage.cost === undefined ? 'cost unknown' : dollars(parseUsd(usage.cost));
  return `${counted(usage.prompt, 'token')} in, ${usage.completion} out, ${cost}, ${latencyMs} ms, ${model} at ${provider}, ${requestId}`;
}

function documentOf({ requestId, provider, model, text, usage, latencyMs }: Talk): unknown {
  return {
    object: 'chat',
    request_id: requestId,
    model,
    provider,
    content: text,
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    cost: usage.cost ?? null,
    latency_ms: latencyMs,
  };
}
