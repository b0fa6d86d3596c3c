import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import type { Test } from 'tap';
import { createAccount, createKey, grantCredits, openByok } from '../../src/accounts/index.ts';
import { CLOCK } from '../../src/daemon/clock.ts';
import { createGateway, type AccessLine, type Clock, type Credentials, type Gateway, type GatewayParts, type Timing } from '../../src/gateway/index.ts';
import { openLedger, type Ledger } from '../../src/ledger/index.ts';
import { parseUsd } from '../../src/money/index.ts';
import { choosePayments, type Payments } from '../../src/payments/index.ts';
import { createSandbox, SANDBOX_CATALOG } from '../../src/sandbox/index.ts';
import { loadSettings, type Settings } from '../../src/settings/index.ts';
import { createUpstream } from '../../src/upstream/index.ts';
import { openVault, type Vault } from '../../src/vault/index.ts';

/** A whole gateway in this process, on a real database and real sockets, around providers of the test's own. */
export interface House {
  readonly url: string;
  readonly settings: Settings;
  readonly ledger: Ledger;
  /** By the settings: Stripe where there is a key, else the sandbox's. */
  readonly payments: Payments | undefined;
  readonly gateway: Gateway;
  readonly accountId: string;
  readonly key: string;
  /** Every access line so far. */
  readonly lines: AccessLine[];
  /** Everything else that was logged, as text. */
  readonly logged: string[];
  /** Registers a provider key of the account over HTTP, without asking the provider. */
  register(provider: string, apiKey: string): Promise<Response>;
  post(body: unknown, headers?: Record<string, string>): Promise<Response>;
  get(path: string): Promise<Response>;
  sdk(options?: { readonly key?: string; readonly maxRetries?: number }): OpenAI;
  balance(): Promise<bigint>;
  /** Waits until the books hold no open hold, then returns the newest row. */
  lastRow(): Promise<Awaited<ReturnType<Ledger['listRequests']>>['rows'][number]>;
}

export interface HouseOptions {
  /** Laid over the settings; the shape of findtoken.yaml. */
  readonly yaml?: Readonly<Record<string, unknown>>;
  /** Provider id → base URL with the operator's key `good-key`. */
  readonly providers?: Readonly<Record<string, string>>;
  /** For whom the operator has a key at this moment; by default for all of `providers`. */
  readonly keyed?: () => ReadonlySet<string>;
  readonly credit?: string;
  readonly sandbox?: boolean;
  readonly clock?: Partial<Clock>;
  readonly timing?: Partial<Timing>;
  /** `cli`: the books without their writing thread, which opens a second sooner. */
  readonly books?: 'daemon' | 'cli';
  /** The way to the primary, as for one of several that serve. */
  readonly desk?: GatewayParts['desk'];
  /** Room on the disk that is kept; by default none. */
  readonly space?: Parameters<typeof openLedger>[0]['space'];
}

/** Opens a house and closes it when the test ends. */
export async function openHouse(t: Pick<Test, 'teardown'>, options: HouseOptions = {}): Promise<House> {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-house-'));
  const file = join(folder, 'findtoken.yaml');
  const providers = Object.fromEntries(Object.entries(options.providers ?? {}).map(([id, url]) => [id, { base_url: url, api_key: 'good-key' }]));
  const yaml = { server: { port: 0 }, database: { path: join(folder, 'findtoken.db') }, providers, ...options.yaml };
  writeFileSync(file, JSON.stringify(yaml));
  const settings = loadSettings({ file, env: {}, cwd: folder, home: folder, overrides: { sandbox: options.sandbox }, sandboxCatalog: SANDBOX_CATALOG });
  const ledger = await openLedger({ path: settings.database.path, as: options.books ?? 'daemon', ...(options.space === undefined ? {} : { space: options.space }) });
  const upstream = createUpstream({ userAgent: 'findtoken/test' });
  const clock: Clock = { ...CLOCK, ...options.clock };
  const lines: AccessLine[] = [];
  const logged: string[] = [];
  const credentials: Credentials = {
    operatorProviders: async () => options.keyed?.() ?? new Set(settings.providerKeys.keys()),
    operator: async (provider) => {
      const apiKey = settings.providerKeys.get(provider);
      const baseUrl = settings.catalog.providers.get(provider)?.baseUrl;
      return apiKey === undefined || baseUrl === undefined ? undefined : { provider, baseUrl, apiKey };
    },
    registered: async (account, provider) => openByok({ ledger, vault: await vault(), catalog: settings.catalog }, { accountId: account, provider }),
  };
  let opened: Promise<Vault> | undefined;
  const vault = () => (opened ??= openVault({
    source: { kind: 'env', name: 'MASTER_KEY' }, env: { MASTER_KEY: 'ab'.repeat(32) }, home: folder, databasePath: settings.database.path,
    notes: { get: (name) => ledger.note(name), set: (name, value) => ledger.setNote(name, value), once: (name, value) => ledger.noteOnce(name, value) }, sealedRowsExist: async () => false,
  }));
  let url = settings.server.publicUrl;
  const payments = choosePayments({ ...settings.stripe, sandboxUrl: options.sandbox === true ? () => url : undefined });
  const gateway = createGateway({
    settings,
    payments,
    ledger,
    upstream,
    sandbox: options.sandbox === true ? createSandbox({ now: clock.nowMs, sleep: clock.sleep }) : undefined,
    credentials,
    vault,
    clock,
    version: '0.0.0-test',
    ...(options.timing === undefined ? {} : { timing: options.timing }),
    ...(options.desk === undefined ? {} : { desk: options.desk }),
    log: {
      access: (line) => void lines.push(line),
      warn: (event, detail) => void logged.push(`${event} ${JSON.stringify(detail)}`),
      error: (event, error) => void logged.push(`${event} ${error instanceof Error ? error.stack : String(error)}`),
    },
  });
  const { port } = await gateway.listen('127.0.0.1', 0);
  url = `http://127.0.0.1:${port}`;
  const parts = { ledger, nowMs: clock.nowMs };
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { key } = await createKey(parts, { accountId, name: 'test' });
  if (options.credit !== '0') await grantCredits(parts, { accountId, amount: parseUsd(options.credit ?? '10'), note: 'test' });
  t.teardown(async () => {
    await gateway.stop();
    await upstream.close();
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const house: House = {
    url, settings, ledger, payments, gateway, accountId, key, lines, logged,
    register: (provider, apiKey) => fetch(`${url}/v1/user/byok/register`, { method: 'POST', headers, body: JSON.stringify({ provider, api_key: apiKey, name: 'mine', verify: false }) }),
    post: (body, more = {}) => fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { ...headers, ...more }, body: typeof body === 'string' ? body : JSON.stringify(body) }),
    get: (path) => fetch(`${url}${path}`, { headers: { authorization: headers.authorization } }),
    sdk: ({ key: other, maxRetries } = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: other ?? key, maxRetries: maxRetries ?? 0 }),
    balance: async () => (await ledger.findAccount(accountId))?.balance ?? -1n,
    lastRow: async () => {
      for (;;) {
        const { openHolds } = await ledger.audit();
        const row = (await ledger.listRequests({ accountId }, { limit: 1 })).rows[0];
        if (openHolds === 0 && row !== undefined) return row;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
  return house;
}

/** The text of a server-sent stream, and its `data:` payloads parsed (`[DONE]` stays text). */
export async function readStream(response: Response): Promise<{ readonly text: string; readonly events: readonly unknown[] }> {
  const text = await response.text();
  const events = text
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => block.slice('data: '.length))
    .map((data): unknown => (data === '[DONE]' ? data : JSON.parse(data)));
  return { text, events };
}

/** A clock whose sleeps end at once and are noted; the monotonic time moves with them. */
export function handClock(): Clock & { readonly slept: number[]; advance(ms: number): void } {
  let nowMs = Date.UTC(2026, 10, 23, 12);
  let monotonicMs = 0;
  const slept: number[] = [];
  const advance = (ms: number) => {
    nowMs += ms;
    monotonicMs += ms;
  };
  return {
    slept,
    advance,
    nowMs: () => nowMs,
    monotonicMs: () => monotonicMs,
    sleep: async (ms) => {
      slept.push(ms);
      advance(ms);
    },
  };
}
