import { readFileSync } from 'node:fs';
import t from 'tap';
import { accessWriter } from '../src/daemon/access-line.ts';
import type { AccessLine, ChatLine } from '../src/gateway/index.ts';

const TIME = '2026-11-28T00:00:00.000Z';
/** Every field, so that none can be forgotten: a type with its optional fields required. */
const CHAT: { readonly [Name in keyof Required<ChatLine>]: ChatLine[Name] } = {
  mode: 'standard', model_requested: 'deepseek-chat', model_used: 'deepseek-chat', provider: 'deepseek', attempts: 1, stream: false, in_tok: 1_000, cached_tok: 400, out_tok: 100,
  cost: '0.000119', ttft_ms: 12, upstream_ms: 40, client_abort: true, sdk: 'js 6.49.0', retry_count: 2, end: 'ok',
};
const LINE: { readonly [Name in keyof Required<AccessLine>]: AccessLine[Name] } = {
  req_id: 'req_1', method: 'POST', path: '/v1/chat/completions', status: 200, dur_ms: 41, account_id: 'acct_1', key_id: 'key_1', trace_id: '0af7651916cd43dd8448eb211c80319c', chat: CHAT,
};

/** What the line says, as JSON itself would tell it: without what is undefined. */
function told({ chat, ...line }: AccessLine, mark: object): unknown {
  return JSON.parse(JSON.stringify({ level: 'info', time: TIME, ...mark, ...line, ...chat, msg: 'request' }));
}

t.test('an access line is JSON with every field that has a value', async (t) => {
  const write = accessWriter('');
  const line = write(LINE, TIME);
  t.strictSame(JSON.parse(line), told(LINE, {}));
  t.ok(line.endsWith('}\n') && line.indexOf('\n') === line.length - 1, 'one line');
  t.strictSame(JSON.parse(accessWriter(',"worker":2')(LINE, TIME)), told(LINE, { worker: 2 }), 'with the number of its process');
  const page = readFileSync(new URL('../docs/http.md', import.meta.url), 'utf8').split('\n').find((text) => text.startsWith('Each call writes one line')) ?? '';
  t.strictSame(Object.keys(JSON.parse(line)).filter((name) => name !== 'msg' && !new RegExp(`\\b${name}\\b`).test(page)), [], 'docs/http.md names each field');
});

t.test('what a line has in common with the one before is told as well, and what it has not is told anew', async (t) => {
  const write = accessWriter('');
  const bare: AccessLine = { req_id: 'req_2', method: 'GET', path: '/healthz', status: 200, dur_ms: 0 };
  const chats: readonly Partial<ChatLine>[] = [
    {}, {}, { mode: 'byok' }, { model_requested: 'glm-4.6' }, { model_used: 'kimi-k2' }, { provider: 'moonshot' }, { attempts: 3 }, { stream: true }, { in_tok: 1 }, { cached_tok: 2 }, { out_tok: 3 },
    { cost: '1.00' }, { ttft_ms: undefined }, { upstream_ms: 0 }, { client_abort: undefined, end: 'providers_unavailable' }, { sdk: undefined }, { retry_count: undefined }, { end: 'aborted' },
    { model_requested: 'a "quoted"\nmodel', sdk: 'js "1"' }, { model_used: '模型' }, {},
  ];
  const lines: readonly AccessLine[] = [
    bare, LINE, bare, bare,
    ...chats.map((chat) => ({ ...LINE, chat: { ...CHAT, ...chat } })),
    { ...LINE, method: 'GET' }, { ...LINE, path: '/v1/"models"' }, { ...LINE, status: 502 }, { ...LINE, account_id: undefined }, { ...LINE, key_id: 'key_2' },
    { ...LINE, account_id: undefined, key_id: undefined }, { ...LINE, trace_id: undefined }, { ...LINE, chat: undefined }, LINE,
  ];
  for (const [at, line] of lines.entries()) t.strictSame(JSON.parse(write(line, TIME)), told(line, {}), `line ${at}`);
});
