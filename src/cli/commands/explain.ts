import { Fault } from '../../faults.ts';
import type { Account, KeyOwner, Ledger } from '../../ledger/index.ts';
import { priceAt, usdNumber } from '../../money/index.ts';
import type { HealthEntry, Plan } from '../../routing/index.ts';
import type { Settings } from '../../settings/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import type { HealthNews } from '../daemon-news.ts';
import { EXIT } from '../failure.ts';
import { perMillion } from '../format.ts';
import { neededModel } from '../needed.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

/** A model that would be asked (`order` from 1), or is left out (`order` null). */
interface Row {
  readonly order: number | null;
  readonly model: string;
  readonly provider: string;
  readonly price: string;
  readonly health: string;
  readonly reason: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: '#', text: ({ order }) => (order === null ? '-' : String(order)), right: true },
  { title: 'model', text: ({ model }) => model },
  { title: 'provider', text: ({ provider }) => provider },
  { title: '$/M in, out', text: ({ price }) => price, dropAt: 2 },
  { title: 'health', text: ({ health }) => health, dropAt: 1 },
  { title: 'reason', text: ({ reason }) => reason },
];

export const EXPLAIN: Verb = {
  usage: 'explain <model>',
  about: 'dry run of the router: in which mode, who would be asked, in which order, and why; for the account of --account, or the only one',
  brief: 'who would be asked, in which order, and why',
  options: [
    { flags: '--routing <routing>', about: 'as the request would say', choices: ['auto', 'cheapest', 'fallback'] },
    { flags: '--sandbox', about: 'as a daemon with --sandbox would decide' },
  ],
  examples: ['findtoken explain deepseek-chat', 'findtoken explain deepseek-chat --routing cheapest --account ann@example.com'],
  run: explain,
};

async function explain(call: Call): Promise<void> {
  const { context, given } = call;
  const settings = await context.settings(given.flag('sandbox') ? { sandbox: true } : undefined);
  const { readChatRequest } = await import('../../wire/index.ts');
  const routing = given.text('routing');
  const body = { model: argument(call, 0), messages: [{ role: 'user', content: 'Hello!' }], ...(routing === undefined ? {} : { routing }) };
  const { pictureTokens, mediaTokens } = settings.billing;
  const request = readChatRequest(body, { pictureTokens, mediaTokens, routingHeader: undefined });
  const model = await neededModel(settings.catalog, request.model);
  const { planCandidates } = await import('../../routing/index.ts');
  const { chooseMode, keysInMode, pricingView } = await import('../../accounts/index.ts');
  const seen = await context.readOrNone((books) => look(context, settings, books));
  const choice = chooseMode({ request, header: undefined, owner: seen.owner, model, catalog: settings.catalog });
  const nowMs = Date.now();
  const plan = planCandidates({
    catalog: settings.catalog,
    request,
    ...keysInMode(choice, model, seen.owner, { providers: seen.operators, sandbox: settings.sandbox || seen.sandbox }),
    health: seen.health,
    nowMs,
    defaultMaxTokens: settings.billing.defaultMaxTokens,
  });
  const told: Told = {
    pricingOf: (id) => {
      const known = settings.catalog.models.get(id);
      return known === undefined ? null : pricingView(known.price, nowMs);
    },
    healthOf: (key) => ({ health: seen.news.get(key)?.state ?? null, health_reason: seen.news.get(key)?.reason ?? null }),
  };
  context.show(documentOf(plan, model.id, choice.mode, told), () => renderTable(rowsOf(plan, settings, told, nowMs), COLUMNS, context.terminal));
  if (!context.json) context.terminal.note(modeLine(choice.mode, seen));
  if (!seen.running) context.terminal.note('The daemon is not running, so nothing is known of the providers\' health.');
  if (plan.candidates.length > 0) return;
  context.terminal.note(`Nobody would be asked: ${seen.isPlay ? 'play money buys nothing while the sandbox is off' : 'set a provider key with `findtoken providers set-key NAME`'}.`);
  process.exitCode = EXIT.failed;
}

/** Whose keys are meant is what the mode says; with several accounts and none named, nobody's own are looked at. */
function modeLine(mode: 'standard' | 'byok', { email, isPlay }: Seen): string {
  const whose = email === undefined ? '' : ` for ${email}`;
  if (isPlay && mode === 'standard') return `Standard mode${whose}: with play money, which is good while the sandbox is on.`;
  if (mode === 'byok') return `BYOK mode${whose}: with keys of the account's own.`;
  return `Standard mode${whose}: with the operator's keys.${email === undefined ? ' --account EMAIL looks at the keys of an account.' : ''}`;
}

interface Seen {
  readonly owner: KeyOwner;
  /** Whose request it would be; undefined where nobody is meant. */
  readonly email: string | undefined;
  /** It is the sandbox's account. */
  readonly isPlay: boolean;
  readonly operators: ReadonlySet<string>;
  readonly health: ReadonlyMap<string, HealthEntry>;
  /** The same as the daemon tells it. */
  readonly news: ReadonlyMap<string, HealthNews>;
  readonly running: boolean;
  /** The running daemon answers what nobody has a key for. */
  readonly sandbox: boolean;
}

/** What the router would know: whose keys there are, and the health that the daemon last told. */
async function look(context: Context, settings: Settings, books: Books | undefined): Promise<Seen> {
  const configured = [...settings.providerKeys.keys()];
  if (books === undefined) return { owner: NOBODY, email: undefined, isPlay: false, operators: new Set(configured), health: new Map(), news: new Map(), running: false, sandbox: false };
  const { ledger } = books;
  const stored = (await ledger.listProviderKeys()).map(({ provider }) => provider);
  const news = await readNews(ledger, books.nowMs());
  const account = await accountOf(ledger, context.account);
  const { SANDBOX_EMAIL } = await import('../../accounts/index.ts');
  const isPlay = account?.email === SANDBOX_EMAIL;
  return {
    owner: account === undefined ? NOBODY : await ownerOf(ledger, account),
    email: account?.email,
    isPlay,
    operators: new Set(isPlay && !settings.sandbox && news?.sandbox !== true ? [] : [...configured, ...stored]),
    health: new Map(news?.health.map(({ key, entry }) => [key, entry])),
    news: new Map(news?.health.map((one) => [one.key, one])),
    running: news !== undefined,
    sandbox: news?.sandbox === true,
  };
}

/** The account that is named, or the only one; undefined where none is named and there are several, or none. */
async function accountOf(ledger: Ledger, named: string | undefined): Promise<Account | undefined> {
  const { resolveAccount } = await import('../../accounts/index.ts');
  try {
    return await resolveAccount({ ledger }, named);
  } catch (error) {
    if (named === undefined && error instanceof Fault) return undefined;
    throw error;
  }
}

async function ownerOf(ledger: Ledger, { id, status, frozen, balance, held, requestsPerMinute }: Account): Promise<KeyOwner> {
  // Newest first, and the newest is used.
  const keys = (await ledger.listByokKeys(id)).toReversed();
  const byokProviders = [...new Set(keys.map(({ provider }) => provider))];
  const regions = new Map(keys.map(({ provider, region }) => [provider, region]));
  const byokRegions = new Map([...regions].flatMap(([provider, region]) => (region === undefined ? [] : [[provider, region]])));
  return { keyId: '', accountId: id, status, frozen, balance, held, requestsPerMinute, byokProviders, byokRegions };
}

/** Without an account the operator's own keys decide. */
const NOBODY: KeyOwner = { keyId: '', accountId: '', status: 'active', frozen: false, balance: 0n, held: 0n, requestsPerMinute: undefined, byokProviders: [], byokRegions: new Map() };

/** What is told of a model beside its place: its price of now, as `GET /v1/models` has it, and its health, as `providers list` has it. */
interface Told {
  readonly pricingOf: (model: string) => unknown;
  readonly healthOf: (key: string) => { readonly health: string | null; readonly health_reason: string | null };
}

function rowsOf(plan: Plan, { catalog }: Settings, told: Told, nowMs: number): readonly Row[] {
  const priceOf = (id: string): string => {
    const price = catalog.models.get(id)?.price;
    if (price === undefined) return '';
    const { input, output } = priceAt(price, nowMs);
    return `${perMillion(input)}, ${perMillion(output)}`;
  };
  const healthOf = (key: string): string => told.healthOf(key).health_reason ?? 'unknown';
  return [
    ...plan.candidates.map(({ model, provider, healthKey, reason }, index) => ({ order: index + 1, model: model.id, provider, price: priceOf(model.id), health: healthOf(healthKey), reason })),
    ...plan.skipped.map(({ model, provider, healthKey, reason }) => ({ order: null, model, provider, price: priceOf(model), health: healthOf(healthKey), reason })),
  ];
}

function documentOf(plan: Plan, model: string, mode: string, { pricingOf, healthOf }: Told): unknown {
  return {
    object: 'plan',
    model,
    routing: plan.routing,
    mode,
    candidates: plan.candidates.map(({ model: { id }, provider, healthKey, expectedCost, trial, reason }) => ({ model: id, provider, pricing: pricingOf(id), ...healthOf(healthKey), expected_cost: usdNumber(expectedCost), trial, reason })),
    skipped: plan.skipped.map(({ model: id, provider, healthKey, kind, reason }) => ({ model: id, provider, pricing: pricingOf(id), ...healthOf(healthKey), kind, reason })),
  };
}
