import type { HoldRequest, HoldResult, Ledger, RequestEnd, Settlement } from '../../src/ledger/index.ts';
import { openLedger } from '../../src/ledger/index.ts';

/**
 * The stories' language: one deed and its expected answer a line, amounts in the books' smallest unit.
 *
 *     account ann                  -> active          an account; `account ann pending` for another status
 *     credit ann 100               -> 100             the balance afterwards; `credit ann 100 ref` names the grant
 *     hold ann h1 60               -> ok              or the reason of the refusal; `by one`: asked for by the worker `one`
 *     byok ann b1 60 of 2          -> free            of 2 free requests a month; `paid` beyond them
 *     progress h1 20+5             -> noted           provider's part + fee so far
 *     settle h1 20+5               -> paid 25         `paid 25 short 3`; `already 25` where it had ended
 *     release h1                   -> released        or `already 25`
 *     restart                      -> ok              the process dies and another one opens the same books
 *     recover                      -> 1 released 1 settled    `recover one`: after the death of that worker alone
 *     spendable ann                -> 75              also `balance ann`, `held ann`
 *     status h1                    -> ok              also `cost h1`
 *     counted ann                  -> 2               BYOK requests of the month
 *     set ann deactivated          -> ok
 *     wallet fees                  -> 5               what the story brought a system account
 */
type Deed = (words: readonly string[]) => Promise<string>;

interface Stage {
  ledger: Ledger;
  readonly open: () => Promise<Ledger>;
  nowMs: number;
  /** Keeps the accounts and requests of one story apart from those of the others. */
  story: string;
  /** System balances when the story began. */
  before: ReadonlyMap<string, bigint>;
  requests: Set<string>;
}

const MONTH = '2026-11';
/** Within the month above. */
const START_MS = Date.UTC(2026, 10, 23);

/** What a story needs of the test that tells it. */
export interface Listener {
  equal(found: string, expected: string, line: string): unknown;
  test(title: string, told: (listener: Listener) => Promise<void>): unknown;
}

/** Tells stories to one form of the ledger, on one file. Whatever happened in one, the books balance at its end. */
export async function tellStories(listener: Listener, path: string, as: 'cli' | 'daemon', stories: Readonly<Record<string, string>>): Promise<void> {
  const open = (): Promise<Ledger> => openLedger({ path, as });
  const stage: Stage = { ledger: await open(), open, nowMs: START_MS, story: '', before: new Map(), requests: new Set() };
  try {
    for (const [at, [title, story]] of Object.entries(stories).entries()) {
      stage.story = `s${at}`;
      await listener.test(title, (heard) => tellStory(heard, stage, story));
    }
  } finally {
    await stage.ledger.close();
  }
}

async function tellStory(listener: Listener, stage: Stage, story: string): Promise<void> {
  stage.before = await systemBalances(stage.ledger);
  for (const line of story.split('\n').map((written) => written.trim()).filter((written) => written !== '' && !written.startsWith('#'))) {
    const [deed = '', expected = ''] = line.split('->').map((side) => side.trim());
    stage.nowMs += 1_000;
    listener.equal(await act(stage, deed.split(/\s+/)), expected, line);
  }
  listener.equal(await differences(stage.ledger), '', 'the books balance');
  for (const id of stage.requests) await stage.ledger.release(endOf(id, stage.nowMs));
  stage.requests.clear();
  listener.equal(await differences(stage.ledger), '', 'and again when all has ended');
}

async function differences(ledger: Ledger): Promise<string> {
  const { findings } = await ledger.audit();
  return findings.map(({ rule, subject, expected, found }) => `${rule} ${subject}: ${expected}, not ${found}`).join('\n');
}

/** From the transfers, for a system account's balance has no door of its own. */
async function systemBalances(ledger: Ledger): Promise<ReadonlyMap<string, bigint>> {
  const balances = new Map<string, bigint>();
  const { rows } = await ledger.listTransfers({ limit: 10_000 });
  for (const { debit, credit, amount } of rows) {
    balances.set(debit, (balances.get(debit) ?? 0n) - amount);
    balances.set(credit, (balances.get(credit) ?? 0n) + amount);
  }
  return balances;
}

async function act(stage: Stage, [verb = '', ...words]: readonly string[]): Promise<string> {
  const deed = deeds(stage)[verb];
  if (deed === undefined) throw new Error(`no story knows the verb ${verb}`);
  return deed(words);
}

function deeds(stage: Stage): Readonly<Record<string, Deed>> {
  const { ledger, nowMs, story } = stage;
  const idOf = (name: string): string => `acct_${story}_${name}`;
  const requestOf = (written: string): string => `req_${story}_${written}`;
  const account = async (name: string) => {
    const found = await ledger.findAccount(idOf(name));
    if (found === undefined) throw new Error(`no account ${name}`);
    return found;
  };
  const take = async (request: HoldRequest): Promise<HoldResult> => {
    const result = await ledger.hold(request);
    if (result.ok) stage.requests.add(request.id);
    return result;
  };
  return {
    async account([name = '', status = 'active']) {
      const made = await ledger.createAccount({ id: idOf(name), email: `${story}.${name}@example.com`, status: statusOf(status), nowMs });
      return made === 'email_taken' ? made : made.status;
    },
    async credit([name = '', amount = '', reference = `grant at ${nowMs}`]) {
      const granted = await ledger.grant({ accountId: idOf(name), amount: BigInt(amount), reference: `${story} ${reference}`, note: '', nowMs });
      if (typeof granted === 'string') return granted;
      return granted.first ? String(granted.balance) : `already ${granted.balance}`;
    },
    async hold([name = '', id = '', ceiling = '', , life]) {
      const held = await take({ ...plainHold(idOf(name), requestOf(id), ceiling, nowMs), mode: 'standard', byok: undefined, life });
      return held.ok ? 'ok' : held.reason;
    },
    async byok([name = '', id = '', ceiling = '', , free = '']) {
      const held = await take({ ...plainHold(idOf(name), requestOf(id), ceiling, nowMs), mode: 'byok', byok: { month: MONTH, free: Number(free) } });
      return held.ok ? (held.free ? 'free' : 'paid') : held.reason;
    },
    async progress([id = '', charge = '']) {
      await ledger.progress(requestOf(id), settlementOf(requestOf(id), charge, nowMs));
      return 'noted';
    },
    async settle([id = '', charge = '']) {
      const receipt = await ledger.settle(settlementOf(requestOf(id), charge, nowMs));
      if (!receipt.first) return `already ${receipt.cost}`;
      return receipt.shortfall === 0n ? `paid ${receipt.cost}` : `paid ${receipt.cost} short ${receipt.shortfall}`;
    },
    async release([id = '']) {
      const receipt = await ledger.release({ ...endOf(requestOf(id), nowMs), status: 'providers_unavailable' });
      return receipt.first ? 'released' : `already ${receipt.cost}`;
    },
    async restart() {
      await ledger.close();
      stage.ledger = await stage.open();
      return 'ok';
    },
    async recover([life]) {
      const { released, settled } = await ledger.recover(nowMs, life);
      return `${released} released ${settled} settled`;
    },
    async set([name = '', status = '']) {
      return (await ledger.setAccountStatus(idOf(name), statusOf(status), nowMs)) ? 'ok' : 'no_account';
    },
    async spendable([name = '']) {
      const { balance, held } = await account(name);
      return String(balance - held);
    },
    balance: async ([name = '']) => String((await account(name)).balance),
    held: async ([name = '']) => String((await account(name)).held),
    status: async ([id = '']) => (await ledger.findRequest(requestOf(id)))?.status ?? 'unknown',
    cost: async ([id = '']) => String((await ledger.findRequest(requestOf(id)))?.cost ?? 'unknown'),
    counted: async ([name = '']) => String(await ledger.byokCount(idOf(name), MONTH)),
    wallet: async ([name = '']) => String(((await systemBalances(ledger)).get(name) ?? 0n) - (stage.before.get(name) ?? 0n)),
  };
}

function statusOf(word: string): 'pending' | 'active' | 'deactivated' {
  if (word !== 'pending' && word !== 'active' && word !== 'deactivated') throw new Error(`no status ${word}`);
  return word;
}

function plainHold(accountId: string, id: string, ceiling: string, nowMs: number): Omit<HoldRequest, 'mode' | 'byok'> {
  return {
    id, accountId, keyId: `key of ${accountId}`, model: 'deepseek-chat', requestedModel: 'deepseek-chat', provider: 'deepseek',
    stream: false, ceiling: BigInt(ceiling), nowMs,
  };
}

/** `20+5`: the provider's part and the fee. No price is given, so that a story can name any amount. */
export function settlementOf(id: string, charge: string, nowMs: number): Settlement {
  const [provider = 0n, fee = 0n] = charge.split('+').map(BigInt);
  return { ...endOf(id, nowMs), charge: { total: provider + fee, provider, fee } };
}

export function endOf(id: string, nowMs: number): RequestEnd {
  return {
    id, status: 'ok', model: '', provider: '', promptTokens: 12, cachedTokens: 4, completionTokens: 7, reasoningTokens: 0,
    usageOrigin: 'reported', latencyMs: 250, firstByteMs: 40, attempts: 1, nowMs, price: undefined,
  };
}
