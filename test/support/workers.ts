import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { openLedger, type Ledger } from '../../src/ledger/index.ts';
import { json, pause, sse, startProvider, textChunks, type Answer, type FakeProvider } from './provider.ts';
import { runCommand, type DaemonProcess } from './process.ts';

export const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
export const USAGE = { prompt_tokens: 1_900, completion_tokens: 130 };
export const WORDS = 'one two three four five six seven eight nine ten';

/** A home with two processes to serve in it. */
export interface Place {
  readonly home: string;
  readonly database: string;
  readonly provider: FakeProvider;
  /** A new account with so much credit, and its key. */
  account(name: string, credit: string): { readonly key: string; readonly keyId: string };
  books(): Promise<Ledger>;
  configure(limits: Readonly<Record<string, unknown>>): void;
}

/** Whole answers after 30 ms; streams of some 300 ms. */
const answer: Answer = async (request, response) => {
  const isStream = (request.body as { stream?: boolean }).stream === true;
  if (isStream) return sse([...textChunks(HEAD, WORDS), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }], { gapMs: 25 })(request, response);
  await pause(30);
  return json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }], usage: USAGE })(request, response);
};

/** A home, a provider, and settings for two processes. */
export async function furnished(t: Test, script: Answer = answer): Promise<Place> {
  const provider = await startProvider(script);
  t.teardown(() => provider.close());
  const home = t.testdir({});
  const database = join(home, 'findtoken.db');
  const configure: Place['configure'] = (limits) => writeFileSync(join(home, 'findtoken.yaml'), JSON.stringify({
    server: { port: 0, workers: 2, drain: '20s' }, database: { path: database },
    limits: { requests_per_minute: 1_000_000, concurrent_requests: 5_000, ...limits }, providers: { deepseek: { base_url: provider.url, api_key: 'good-key' } },
  }));
  configure({});
  return {
    home, database, provider, configure,
    account(name, credit) {
      const email = `${name}@example.com`;
      for (const args of [['accounts', 'create', email], ['credits', 'grant', credit, '--note', 'test', '--account', email]]) t.equal(runCommand(home, args).code, 0, args.join(' '));
      const { id, key } = JSON.parse(runCommand(home, ['keys', 'create', '--name', 'test', '--json', '--account', email]).stdout) as { id: string; key: string };
      return { key, keyId: id };
    },
    books: async () => {
      const ledger = await openLedger({ path: database, as: 'read' });
      t.teardown(() => ledger.close());
      return ledger;
    },
  };
}

/** One call, to the daemon's port. */
export function chat(daemon: DaemonProcess, key: string, more: { readonly stream?: boolean; readonly headers?: Record<string, string>; readonly text?: string } = {}): Promise<Response> {
  return fetch(`${daemon.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more.headers },
    body: JSON.stringify({ model: 'deepseek-chat', stream: more.stream === true, max_tokens: 200, messages: [{ role: 'user', content: more.text ?? 'Hello!' }] }),
  });
}

/** So many at once. */
export const times = <T>(count: number, work: (at: number) => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, (_, at) => work(at)));

/** The workers by `findtoken status`, when both serve. */
export async function workersOf(home: string): Promise<readonly { readonly no: number; readonly pid: number }[]> {
  for (;;) {
    const { daemon: news } = JSON.parse(runCommand(home, ['status', '--json']).stdout) as { daemon: { workers: { no: number; pid: number }[] } | null };
    if (news !== null && news.workers.length === 2) return news.workers;
    await pause(50);
  }
}

/** Numbers of the workers that logged a line of this kind. */
export function whoServed(daemon: DaemonProcess, has: string): readonly number[] {
  const lines = daemon.output().split('\n').filter((line) => line.startsWith('{') && line.includes(has)).map((line) => JSON.parse(line) as { worker?: number });
  return [...new Set(lines.flatMap(({ worker }) => worker ?? []))].sort((a, b) => a - b);
}

/** Nothing is open, and the books add up. */
export async function assertSound(t: Test, ledger: Ledger): Promise<void> {
  const report = await ledger.audit();
  t.equal(report.openHolds, 0, 'no hold is left open');
  t.same(report.findings, [], 'the books add up');
}

/** Streams of some seconds, as their clients see them. */
export function openStreams(daemon: DaemonProcess, key: string, count: number): Promise<readonly { readonly text: Promise<string>; readonly id: string }[]> {
  return times(count, async () => {
    const response = await chat(daemon, key, { stream: true });
    const text = response.text().catch((error: unknown) => `broken: ${String(error)}`);
    return { text, id: response.headers.get('x-request-id') ?? '' };
  });
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
