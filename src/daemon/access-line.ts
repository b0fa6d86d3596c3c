import type { AccessLine, ChatLine } from '../gateway/index.ts';

/**
 * Writes access lines in the form of the logger's own, each with its line break. A general writer of JSON takes several times as long, and these are by far
 * the most frequent: what a line has in common with the one before is not written anew. Fields without a value are left out.
 * `accessWriter('')({ req_id: 'req_1', method: 'GET', path: '/healthz', status: 200, dur_ms: 1 }, '2026-11-28T00:00:00.000Z')` is
 * `{"level":"info","time":"2026-11-28T00:00:00.000Z","req_id":"req_1","method":"GET","path":"/healthz","status":200,"dur_ms":1,"msg":"request"}`.
 * @param mark what each line bears after its time, with a comma before it
 */
export function accessWriter(mark: string): (line: AccessLine, time: string) => string {
  const route = routeWriter();
  const owner = ownerWriter();
  const chat = chatWriter();
  return (line, time) =>
    `{"level":"info","time":"${time}"${mark},"req_id":"${line.req_id}"${route(line)},"dur_ms":${line.dur_ms}${
      line.trace_id === undefined ? '' : `,"trace_id":"${line.trace_id}"`}${owner(line)}${line.chat === undefined ? '' : chat(line.chat)},"msg":"request"}\n`;
}

function routeWriter(): (line: AccessLine) => string {
  let last: Pick<AccessLine, 'method' | 'path' | 'status'> = { method: '', path: '', status: 0 };
  let text = '';
  return ({ method, path, status }) => {
    if (text === '' || status !== last.status || path !== last.path || method !== last.method) {
      last = { method, path, status };
      text = `,"method":${quoted(method)},"path":${quoted(path)},"status":${status}`;
    }
    return text;
  };
}

function ownerWriter(): (line: AccessLine) => string {
  let last: Pick<AccessLine, 'account_id' | 'key_id'> = { account_id: undefined, key_id: undefined };
  let text = '';
  return ({ account_id, key_id }) => {
    if (account_id !== last.account_id || key_id !== last.key_id) {
      last = { account_id, key_id };
      text = `${account_id === undefined ? '' : `,"account_id":"${account_id}"`}${key_id === undefined ? '' : `,"key_id":"${key_id}"`}`;
    }
    return text;
  };
}

function chatWriter(): (chat: ChatLine) => string {
  let last: Pick<ChatLine, 'mode' | 'model_requested' | 'model_used' | 'provider' | 'attempts' | 'stream'> | undefined;
  let served = '';
  return (chat) => {
    const { mode, model_requested, model_used, provider, attempts, stream } = chat;
    const isSame = last !== undefined && model_requested === last.model_requested && model_used === last.model_used && provider === last.provider
      && attempts === last.attempts && stream === last.stream && mode === last.mode;
    if (!isSame) {
      last = { mode, model_requested, model_used, provider, attempts, stream };
      served = `,"mode":"${mode}","model_requested":${quoted(model_requested)},"model_used":${quoted(model_used)},"provider":${quoted(provider)},"attempts":${attempts},"stream":${stream}`;
    }
    return `${served},"in_tok":${chat.in_tok},"cached_tok":${chat.cached_tok},"out_tok":${chat.out_tok},"cost":"${chat.cost}"${
      chat.ttft_ms === undefined ? '' : `,"ttft_ms":${chat.ttft_ms}`},"upstream_ms":${chat.upstream_ms},"end":${chat.end === 'ok' ? '"ok"' : quoted(chat.end)}${
      chat.client_abort === true ? ',"client_abort":true' : ''}${chat.sdk === undefined ? '' : `,"sdk":${quoted(chat.sdk)}`}${
      chat.retry_count === undefined ? '' : `,"retry_count":${chat.retry_count}`}`;
  };
}

const PLAIN = /^[\w./:@-]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
