import fc from 'fast-check';
import t from 'tap';
import type { Catalog, Model } from '../src/catalog/index.ts';
import { offPeak, parsePrice } from '../src/money/index.ts';
import type { HealthEntry, HealthEvent, Outcome, PlanInput, RetryRules, Step, Trail } from '../src/routing/index.ts';
import { breakEvent, describeHealth, expectedCost, forOperator, healthEvent, healthKey, isOpen, isResting, nextStep, observe, planCandidates, readHealthKey, reserveTrial } from '../src/routing/index.ts';
import type { Failure, FailureClass } from '../src/wire/index.ts';

const RULES: RetryRules = { retries: 3, backoffMs: [1_000, 2_000, 4_000], maxAttempts: 10, deadlineMs: 90_000 };
const CLASSES: readonly FailureClass[] = ['retry', 'overloaded', 'next', 'client', 'key', 'money', 'policy', 'too_long', 'gone'];
const START_MS = 1_700_000_000_000;

function failed(failure: FailureClass, more: Partial<Failure> = {}): Failure {
  return { kind: 'failed', class: failure, status: 500, providerCode: '', message: '', retryAfterMs: undefined, maybeServed: false, ...more };
}

function trail(more: Partial<Trail> = {}): Trail {
  return { triesHere: 1, tries: 1, remaining: [{ larger: false, sameProvider: false }], fitsElsewhere: false, translated: false, askedIsDown: false, elapsedMs: 0, once: false, byok: false, ...more };
}

function model(id: string, provider: string, more: Partial<Model> & { readonly inOut?: readonly [string, string] } = {}): Model {
  const { inOut = ['1', '1'], ...rest } = more;
  const price = { input: parsePrice(inOut[0]), cachedInput: parsePrice(inOut[0]), output: parsePrice(inOut[1]) };
  return {
    id, provider, price, name: id, upstream: id, force: {}, drop: [], contextWindow: 100_000, maxOutput: 8_000, cost: undefined,
    priced: '', capabilities: ['tools', 'json_object'], source: '', sandbox: false, ...rest,
  };
}

function catalogOf(models: readonly Model[], equivalents: Readonly<Record<string, readonly string[]>>): Catalog {
  const providers = new Map(models.map(({ provider: id }) => [id, { id, name: id, baseUrl: 'http://127.0.0.1:1/v1', regions: {}, dialect: id, keyFormat: '' }]));
  return { models: new Map(models.map((one) => [one.id, one])), providers, equivalents: new Map(Object.entries(equivalents)) };
}

/** The published group of deepseek-chat, with its published input prices. */
const GROUP = catalogOf([
  model('deepseek-chat', 'deepseek', { inOut: ['0.14', '0.28'] }),
  model('qwen-max', 'qwen', { inOut: ['1.6', '6.4'], contextWindow: 32_000 }),
  model('glm-4-plus', 'zhipu', { inOut: ['0.5', '0.5'] }),
  model('kimi-k2', 'kimi', { inOut: ['0.95', '4'], capabilities: ['tools', 'vision', 'json_object', 'json_schema'] }),
  model('minimax-m2.5', 'minimax', { inOut: ['0.3', '1.2'], capabilities: ['tools'] }),
], { 'deepseek-chat': ['qwen-max', 'glm-4-plus', 'kimi-k2', 'minimax-m2.5'] });

/** Of three equivalents one that calls no tools. */
const MIXED = catalogOf([model('a', 'p'), model('b', 'q', { capabilities: ['json_object'] }), model('c', 'r')], { a: ['b', 'c'], b: ['a'] });

function input(more: Partial<Omit<PlanInput, 'request'>> & { readonly request?: Partial<PlanInput['request']> } = {}): PlanInput {
  const { request, ...rest } = more;
  return {
    catalog: GROUP,
    servedBy: (one) => one.provider,
    byok: undefined,
    health: new Map(),
    nowMs: START_MS,
    only: undefined,
    defaultMaxTokens: 4_096,
    ...rest,
    request: {
      model: 'deepseek-chat', routing: 'auto', needs: { tools: false, vision: false, linked: false, json: 'none' },
      promptEstimate: 1_000, promptBound: 8_000, maxTokens: undefined, choices: 1, ...request,
    },
  };
}

const ids = (made: ReturnType<typeof planCandidates>): string => made.candidates.map((one) => (one.trial ? `${one.model.id}?` : one.model.id)).join(' ');
const skips = (made: ReturnType<typeof planCandidates>): string => made.skipped.map((one) => `${one.model}:${one.kind}`).join(' ');

const DOWN = observe(undefined, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: true }, START_MS);
const RESTING = observe(undefined, { kind: 'limited', class: 'retry', forMs: 20_000 }, START_MS);
const sick = (entries: Readonly<Record<string, HealthEntry>>): ReadonlyMap<string, HealthEntry> =>
  new Map(Object.entries(entries).map(([id, entry]) => [healthKey(GROUP.models.get(id)?.provider ?? '', id), entry]));

t.test('what follows an attempt, by class and mode', async (t) => {
  const RETRY: Step = { do: 'retry', afterMs: 1_000 };
  const ON: Step = { do: 'reroute', skip: 0 };
  const REFUSE: Step = { do: 'refuse' };
  const OUT: Step = { do: 'give-up', why: 'exhausted' };
  const table: readonly (readonly [FailureClass, { first: Step; fourth: Step; last: Step }, { first: Step; fourth: Step; last: Step }, string])[] = [
    // class, Standard: first try, fourth try, with nobody left; BYOK: the same; why
    ['retry', { first: RETRY, fourth: ON, last: OUT }, { first: RETRY, fourth: ON, last: OUT }, 'up to 3 retries, then the next'],
    ['overloaded', { first: RETRY, fourth: ON, last: OUT }, { first: RETRY, fourth: ON, last: OUT }, 'once more, then the next'],
    ['next', { first: ON, fourth: ON, last: OUT }, { first: ON, fourth: ON, last: OUT }, 'asking the same one again is no use'],
    ['gone', { first: ON, fourth: ON, last: OUT }, { first: ON, fourth: ON, last: OUT }, 'a fault of the catalogue, not of the client'],
    ['key', { first: ON, fourth: ON, last: OUT }, { first: REFUSE, fourth: REFUSE, last: REFUSE }, "the operator's key is never shown as the client's; the client's own is"],
    ['money', { first: ON, fourth: ON, last: OUT }, { first: REFUSE, fourth: REFUSE, last: REFUSE }, 'the same for the account'],
    ['client', { first: REFUSE, fourth: REFUSE, last: REFUSE }, { first: REFUSE, fourth: REFUSE, last: REFUSE }, 'deterministic'],
    ['policy', { first: REFUSE, fourth: REFUSE, last: REFUSE }, { first: REFUSE, fourth: REFUSE, last: REFUSE }, 'no shopping for a laxer provider'],
    ['too_long', { first: REFUSE, fourth: REFUSE, last: REFUSE }, { first: REFUSE, fourth: REFUSE, last: REFUSE }, 'the only other window is no larger'],
  ];
  t.strictSame(table.map(([name]) => name).toSorted(), [...CLASSES].toSorted(), 'the table has every class');
  for (const [name, standard, own, why] of table) {
    for (const [byok, steps] of [[false, standard], [true, own]] as const) {
      const said = `${name}, ${byok ? 'byok' : 'standard'}: ${why}`;
      t.strictSame(nextStep(failed(name), trail({ byok }), RULES), steps.first, said);
      t.strictSame(nextStep(failed(name), trail({ byok, triesHere: 4, tries: 4 }), RULES), steps.fourth, `${said} (fourth try)`);
      t.strictSame(nextStep(failed(name), trail({ byok, triesHere: 4, tries: 4, remaining: [] }), RULES), steps.last, `${said} (nobody left)`);
    }
  }
  t.strictSame(nextStep({ kind: 'answered' }, trail({ tries: 99, elapsedMs: 1e9 }), RULES), { do: 'finish' }, 'an answer is an answer, however late');
});

t.test('what bends the table', async (t) => {
  const near = { larger: false, sameProvider: true };
  const far = { larger: false, sameProvider: false };
  const wide = { larger: true, sameProvider: false };
  const cases: readonly (readonly [Outcome, Partial<Trail>, Step, string])[] = [
    [failed('retry'), { triesHere: 2, tries: 2 }, { do: 'retry', afterMs: 2_000 }, 'the second wait'],
    [failed('retry'), { triesHere: 3, tries: 3 }, { do: 'retry', afterMs: 4_000 }, 'the third wait'],
    [failed('overloaded'), { triesHere: 2, tries: 2 }, { do: 'reroute', skip: 0 }, 'overloaded twice: on'],
    [failed('retry', { maybeServed: true }), {}, { do: 'reroute', skip: 0 }, 'it may have been processed: not sent there again'],
    [failed('retry', { maybeServed: true }), { remaining: [near, far] }, { do: 'reroute', skip: 1 }, 'nor to the same provider as another model'],
    [failed('retry', { maybeServed: true }), { remaining: [near] }, { do: 'give-up', why: 'exhausted' }, 'even if nobody else is left'],
    [failed('retry'), { remaining: [near], triesHere: 4 }, { do: 'reroute', skip: 0 }, 'a failure that was no answer may go on at the same provider'],
    [failed('retry'), { once: true }, { do: 'reroute', skip: 0 }, 'the client is itself retrying'],
    [failed('overloaded'), { once: true, remaining: [] }, { do: 'give-up', why: 'exhausted' }, 'a trial is one attempt'],
    [failed('key'), { remaining: [near, far] }, { do: 'reroute', skip: 1 }, 'the same key would be refused for the sister model too'],
    [failed('money'), { remaining: [near] }, { do: 'give-up', why: 'exhausted' }, 'the same account is empty for the sister model too'],
    [failed('too_long'), { remaining: [far, wide] }, { do: 'reroute', skip: 1 }, 'the first larger window'],
    [failed('too_long'), { remaining: [wide], byok: true }, { do: 'reroute', skip: 0 }, 'BYOK stays within its keyed candidates'],
    [failed('too_long'), { remaining: [wide], tries: 10 }, { do: 'refuse' }, 'past the cap it is still the client\'s to hear'],
    [failed('too_long'), { fitsElsewhere: true }, { do: 'give-up', why: 'exhausted' }, 'a larger window failed before: the prompt is not at fault'],
    [failed('too_long'), { fitsElsewhere: true, remaining: [far, wide] }, { do: 'reroute', skip: 1 }, 'one that is left is asked all the same'],
    [failed('client'), { fitsElsewhere: true }, { do: 'refuse' }, 'nothing of that bends what is the fault of the client'],
    [failed('client'), { translated: true }, { do: 'reroute', skip: 0 }, 'what was written anew may be refused for our words: the next is asked'],
    [failed('client'), { translated: true, remaining: [] }, { do: 'refuse' }, 'and where all say so whom the request can be sent to, it is the client\'s'],
    [failed('client'), { translated: true, askedIsDown: true, remaining: [] }, { do: 'give-up', why: 'exhausted' }, 'but not while the one that it was written for is down'],
    [failed('client'), { translated: true, askedIsDown: true, tries: 10 }, { do: 'give-up', why: 'attempts' }, 'nor past the cap'],
    [failed('client'), { askedIsDown: true }, { do: 'refuse' }, 'words that were not touched are the client\'s own'],
    [failed('policy'), { translated: true, askedIsDown: true }, { do: 'refuse' }, 'nobody laxer is looked for'],
    [failed('retry', { retryAfterMs: 2_500 }), {}, { do: 'retry', afterMs: 2_500 }, 'Retry-After is longer than the backoff'],
    [failed('retry', { retryAfterMs: 200 }), {}, { do: 'retry', afterMs: 1_000 }, 'the backoff is longer than Retry-After'],
    [failed('retry', { retryAfterMs: 80_000 }), { elapsedMs: 10_000 }, { do: 'reroute', skip: 0 }, 'the wait would end at the deadline'],
    [failed('retry', { retryAfterMs: 79_999 }), { elapsedMs: 10_000 }, { do: 'retry', afterMs: 79_999 }, 'the wait ends just before it'],
    [failed('retry'), { elapsedMs: 89_500 }, { do: 'reroute', skip: 0 }, 'so near the deadline there is only time for another one'],
    [failed('retry'), { elapsedMs: 90_000 }, { do: 'give-up', why: 'deadline' }, 'the time is over'],
    [failed('key'), { elapsedMs: 90_000 }, { do: 'give-up', why: 'deadline' }, 'for every class that would go on'],
    [failed('retry'), { tries: 10, triesHere: 2 }, { do: 'give-up', why: 'attempts' }, 'ten attempts are all'],
    [failed('next'), { tries: 9 }, { do: 'reroute', skip: 0 }, 'nine are not'],
    [failed('retry'), { tries: 4, triesHere: 4, remaining: Array.from({ length: 9 }, () => near) }, { do: 'reroute', skip: 0 }, 'the first candidate has its retries'],
    [failed('retry'), { tries: 3, triesHere: 3, remaining: Array.from({ length: 9 }, () => near) }, { do: 'retry', afterMs: 4_000 }, 'all of them, though attempts run short for the last'],
    [failed('retry'), { tries: 6, triesHere: 2, remaining: [near, near, near] }, { do: 'retry', afterMs: 2_000 }, 'a later one has as many as spare the others: four attempts are left for three'],
    [failed('retry'), { tries: 7, triesHere: 3, remaining: [near, near, near] }, { do: 'reroute', skip: 0 }, 'three are left for three'],
  ];
  for (const [outcome, at, step, why] of cases) t.strictSame(nextStep(outcome, trail(at), RULES), step, why);

  t.strictSame(nextStep(failed('retry'), trail({ triesHere: 5, tries: 5 }), { ...RULES, retries: 9 }), { do: 'retry', afterMs: 4_000 }, 'the last wait repeats');
  t.strictSame(nextStep(failed('retry'), trail(), { ...RULES, backoffMs: [] }), { do: 'retry', afterMs: 0 }, 'no waits: at once');
  t.strictSame(nextStep(failed('overloaded'), trail(), { ...RULES, retries: 0 }), { do: 'reroute', skip: 0 }, 'no retries means none for an overload either');
});

t.test('a primary that answers 500 is asked at 0, 1, 3 and 7 s, then the next; the plan after that leaves it out', async (t) => {
  const health = new Map<string, HealthEntry>();
  let nowMs = START_MS;
  const made = planCandidates(input({ nowMs, health }));
  const asked: string[] = [];
  let at = 0;
  let triesHere = 0;
  for (let tries = 1; ; tries += 1) {
    const candidate = made.candidates[at];
    if (candidate === undefined) throw new Error('no candidate');
    triesHere += 1;
    asked.push(`${candidate.model.id} ${(nowMs - START_MS) / 1_000}`);
    const outcome: Outcome = candidate.model.id === 'deepseek-chat' ? failed('retry') : { kind: 'answered' };
    const here = trail({ triesHere, tries, elapsedMs: nowMs - START_MS, remaining: made.candidates.slice(at + 1).map(() => ({ larger: false, sameProvider: false })) });
    const step = nextStep(outcome, here, RULES);
    const event = healthEvent(outcome, { step, trail: here, rules: RULES });
    const key = healthKey(candidate.provider, candidate.model.id);
    if (event !== undefined) health.set(key, observe(health.get(key), event, nowMs));
    if (step.do === 'retry') nowMs += step.afterMs;
    else if (step.do === 'reroute') {
      at += 1 + step.skip;
      triesHere = 0;
    } else break;
  }
  t.strictSame(asked, ['deepseek-chat 0', 'deepseek-chat 1', 'deepseek-chat 3', 'deepseek-chat 7', 'qwen-max 7']);

  const next = planCandidates(input({ nowMs, health }));
  t.equal(ids(next), 'qwen-max glm-4-plus kimi-k2 minimax-m2.5');
  t.equal(skips(next), 'deepseek-chat:down');
  t.match(next.skipped[0]?.reason, /down \(it failed\), asked again in 30 s/);

  const later = planCandidates(input({ nowMs: nowMs + 30_000, health }));
  t.equal(ids(later), 'deepseek-chat qwen-max glm-4-plus kimi-k2 minimax-m2.5', 'half a minute later one request may try it');
});

t.test('who is asked, in order', async (t) => {
  const cases: readonly (readonly [Parameters<typeof input>[0], string, string, string])[] = [
    // input, candidates (? marks a trial), skipped, why
    [{}, 'deepseek-chat qwen-max glm-4-plus kimi-k2 minimax-m2.5', '', 'the requested one, then the published order'],
    [{ request: { routing: 'fallback' } }, 'deepseek-chat qwen-max glm-4-plus kimi-k2 minimax-m2.5', '', 'strictly the predefined order'],
    [{ request: { routing: 'cheapest' } }, 'deepseek-chat glm-4-plus minimax-m2.5 kimi-k2 qwen-max', '', '1,000 in and 1,000 out'],
    [{ request: { routing: 'cheapest', promptEstimate: 8_000, maxTokens: 10 } }, 'deepseek-chat minimax-m2.5 glm-4-plus kimi-k2 qwen-max', '', 'a long prompt and a short answer turn two around'],
    [{ request: { routing: 'cheapest' }, health: sick({ 'deepseek-chat': DOWN }) }, 'glm-4-plus minimax-m2.5 kimi-k2 qwen-max', 'deepseek-chat:down', 'the cheapest of the healthy'],
    [{ health: sick({ 'qwen-max': RESTING }) }, 'deepseek-chat glm-4-plus kimi-k2 minimax-m2.5', 'qwen-max:resting', 'a rate-limited one is spared'],
    [{ request: { needs: { tools: false, vision: true, linked: false, json: 'none' } } }, 'deepseek-chat kimi-k2', 'qwen-max:vision glm-4-plus:vision minimax-m2.5:vision', 'about the requested model its provider decides'],
    [{ request: { needs: { tools: false, vision: true, linked: true, json: 'none' } } }, 'deepseek-chat', 'qwen-max:vision glm-4-plus:vision kimi-k2:vision minimax-m2.5:vision', 'kimi fetches no picture; what the requested model fetches its provider decides'],
    [{ request: { needs: { tools: false, vision: false, linked: false, json: 'json_schema' } } }, 'deepseek-chat qwen-max glm-4-plus kimi-k2', 'minimax-m2.5:json', 'a schema is content with JSON mode'],
    [{ request: { model: 'minimax-m2.5', needs: { tools: true, vision: true, linked: false, json: 'json_object' } } }, 'minimax-m2.5', '', 'no equivalents, no capabilities: asked all the same'],
    [{ request: { promptEstimate: 40_000, promptBound: 90_000 } }, 'deepseek-chat glm-4-plus kimi-k2 minimax-m2.5', 'qwen-max:too_long', 'the prompt alone is larger than the window'],
    [{ request: { promptEstimate: 31_000, promptBound: 90_000, maxTokens: 8_000 } }, 'deepseek-chat qwen-max glm-4-plus kimi-k2 minimax-m2.5', '', 'prompt and output together are a guess'],
    [{ request: { promptEstimate: 40_000, promptBound: 30_000 } }, 'deepseek-chat qwen-max glm-4-plus kimi-k2 minimax-m2.5', '', 'what certainly fits is not guessed about'],
    [{ request: { promptEstimate: 200_000, promptBound: 900_000 } }, 'deepseek-chat', 'qwen-max:too_long glm-4-plus:too_long kimi-k2:too_long minimax-m2.5:too_long', 'the last one is not refused on a guess'],
    [{ servedBy: (one) => (one.provider === 'kimi' ? 'kimi' : undefined) }, 'kimi-k2', 'deepseek-chat:no_credential qwen-max:no_credential glm-4-plus:no_credential minimax-m2.5:no_credential', 'only who has a key'],
    [{ servedBy: () => undefined }, '', 'deepseek-chat:no_credential qwen-max:no_credential glm-4-plus:no_credential kimi-k2:no_credential minimax-m2.5:no_credential', 'no key at all'],
    [{ only: 'zhipu' }, 'glm-4-plus', 'deepseek-chat:other_provider qwen-max:other_provider kimi-k2:other_provider minimax-m2.5:other_provider', "an inline key's provider: its equivalent there"],
    [{ only: 'deepseek' }, 'deepseek-chat', 'qwen-max:other_provider glm-4-plus:other_provider kimi-k2:other_provider minimax-m2.5:other_provider', 'the model itself'],
    [{ only: 'stepfun' }, '', 'deepseek-chat:other_provider qwen-max:other_provider glm-4-plus:other_provider kimi-k2:other_provider minimax-m2.5:other_provider', 'nothing there'],
    [{ request: { model: 'gpt-7' } }, '', '', 'an unknown model'],
    [{ servedBy: (one) => (['deepseek', 'zhipu'].includes(one.provider) ? one.provider : undefined), health: sick({ 'deepseek-chat': DOWN, 'glm-4-plus': DOWN }) },
      'deepseek-chat? glm-4-plus?', 'qwen-max:no_credential kimi-k2:no_credential minimax-m2.5:no_credential', 'all down: tried all the same, one attempt each'],
    [{ only: 'deepseek', health: sick({ 'deepseek-chat': RESTING }) }, 'deepseek-chat', 'qwen-max:other_provider glm-4-plus:other_provider kimi-k2:other_provider minimax-m2.5:other_provider', 'a rest takes no retries away from the only one'],
    [{ request: { routing: 'cheapest' }, servedBy: (one) => (['qwen', 'zhipu'].includes(one.provider) ? one.provider : undefined), health: sick({ 'qwen-max': DOWN, 'glm-4-plus': DOWN }) },
      'glm-4-plus? qwen-max?', 'deepseek-chat:no_credential kimi-k2:no_credential minimax-m2.5:no_credential', 'trials keep the order of the cheapest'],
    [{ request: { routing: 'fallback' }, health: sick({ 'deepseek-chat': DOWN, 'kimi-k2': RESTING }) }, 'qwen-max glm-4-plus minimax-m2.5 deepseek-chat? kimi-k2', '', 'who is ill is asked behind all others'],
    [{ catalog: MIXED, request: { model: 'a', needs: { tools: true, vision: false, linked: false, json: 'none' } } }, 'a c', 'b:tools', 'a call of tools goes to no stand-in that would answer in words'],
    [{ catalog: MIXED, request: { model: 'b', needs: { tools: true, vision: false, linked: false, json: 'none' } } }, 'b a', '', 'whether the requested one calls tools its provider says'],
  ];
  for (const [more, candidates, skipped, why] of cases) {
    const made = planCandidates(input(more));
    t.equal(ids(made), candidates, why);
    t.equal(skips(made), skipped, `${why} (left out)`);
  }

  const twice = catalogOf([model('a', 'p'), model('b', 'q'), model('c', 'r')], { a: ['b', 'a', 'b', 'gone', 'c'] });
  t.equal(ids(planCandidates(input({ catalog: twice, request: { model: 'a' } }))), 'a b c', 'each model once, unknown names left out');
  t.equal(ids(planCandidates(input({ catalog: twice, request: { model: 'a', routing: 'cheapest' } }))), 'a b c', 'ties keep the order of preference');
  const stand = planCandidates(input({ servedBy: () => 'sandbox' }));
  t.ok(stand.candidates.every((one) => one.provider === 'sandbox' && one.reason !== ''), 'the sandbox stands in, and every candidate has a reason');
});

t.test('health is read where it will be told: of the operator, of BYOK, of a region', async (t) => {
  const regionOf = (provider: string): string | undefined => (provider === 'qwen' ? 'hong kong, new' : undefined);
  const ill = (...keys: readonly string[]): ReadonlyMap<string, HealthEntry> => new Map(keys.map((key) => [key, DOWN]));
  const cases = [
    // byok, what is down, who is asked first, why
    [undefined, ill('deepseek/deepseek-chat'), 'qwen-max', "the operator's"],
    [undefined, ill('deepseek/deepseek-chat (BYOK)'), 'deepseek-chat', "the accounts' is not the operator's"],
    [{ regionOf }, ill('deepseek/deepseek-chat'), 'deepseek-chat', "nor the operator's the accounts'"],
    [{ regionOf }, ill('deepseek/deepseek-chat (BYOK)'), 'qwen-max', "the accounts' is all accounts'"],
    [{ regionOf }, ill('deepseek/deepseek-chat (BYOK)', 'qwen/qwen-max (BYOK)'), 'qwen-max', 'the main address is not the region'],
    [{ regionOf }, ill('deepseek/deepseek-chat (BYOK)', 'qwen/qwen-max (BYOK, hong kong, new)'), 'glm-4-plus', 'the region is'],
  ] as const;
  for (const [byok, health, first, why] of cases) {
    const made = planCandidates(input({ byok, health }));
    t.equal(made.candidates[0]?.model.id, first, why);
    for (const { healthKey: key, provider, model: { id } } of made.candidates) {
      t.strictSame(readHealthKey(key), { provider, model: id, isByok: byok !== undefined }, key);
    }
    for (const { healthKey: key } of made.skipped) t.ok(health.has(key), `${key} tells why it is left out`);
  }
  const shown = (...keys: readonly string[]): readonly string[] => forOperator(keys.map((key) => ({ key }))).map(({ key }) => key);
  t.strictSame(shown('a/x', 'a/x (BYOK)', 'a/y (BYOK, z)', 'b/x (BYOK)', 'b/x (BYOK, z)'), ['a/x', 'b/x (BYOK)', 'b/x (BYOK, z)'], "the operator's, else the accounts'");
});

t.test('the expected cost is the estimated prompt and output at list price', async (t) => {
  const chat = offPeak(model('deepseek-chat', 'deepseek', { inOut: ['0.14', '0.28'], maxOutput: 8_000 }).price);
  const cases = [
    // prompt, max tokens, choices, e8, why
    [1_000, undefined, 1, 42_000n, '1,000 tokens of output without a limit'],
    [1_000, 100, 1, 16_800n, 'the limit'],
    [1_000, 100, 3, 22_400n, 'three choices'],
    [0, 1_000_000, 1, 28_000_000n, 'the same answer for all, also where the model would cut it short'],
    [0, 100_000_000, 128, 2_800_000_000n, 'nor is an absurd one'],
    [0.3, 1, 1, 42n, 'an estimate of 0.3 tokens is one token'],
    [Number.MAX_SAFE_INTEGER, 1, 1, 1_400_000_028n, 'an absurd prompt is counted as a hundred million, never a crash'],
  ] as const;
  for (const [promptEstimate, maxTokens, choices, cost, why] of cases) t.equal(expectedCost(chat, { promptEstimate, maxTokens, choices }), cost, why);
  t.equal(expectedCost(chat, { promptEstimate: 0, maxTokens: undefined, choices: 1 }, 256), 7_168n, "the operator's own default limit, where it is lower");
});

t.test('the life of a circuit', async (t) => {
  const FAIL: HealthEvent = { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: false };
  const SPENT: HealthEvent = { ...FAIL, spent: true };
  const OK: HealthEvent = { kind: 'answered' };
  const of = (failure: FailureClass, retryAfterMs?: number): HealthEvent => ({ kind: 'failed', class: failure, retryAfterMs, spent: false });
  const limit = (forMs: number): HealthEvent => ({ kind: 'limited', class: 'retry', forMs });
  const probed = (ok: boolean): HealthEvent => ({ kind: 'probed', ok });
  /** Events at seconds; what is shown at the end. */
  const cases: readonly (readonly [readonly (readonly [number, HealthEvent | 'reserve'])[], number, string, string])[] = [
    [[], 0, 'up -', 'nothing known is healthy'],
    [[[0, FAIL], [1, FAIL], [2, FAIL], [3, FAIL]], 3, 'up -', 'four failures of four requests'],
    [[[0, FAIL], [1, FAIL], [2, FAIL], [3, FAIL], [4, FAIL]], 4, 'down 30', 'five in a row'],
    [[[0, FAIL], [1, FAIL], [2, OK], [3, FAIL], [4, FAIL], [5, FAIL]], 5, 'up -', 'an answer breaks the row'],
    [[[0, OK], ...[0.1, 0.3, 0.5, 0.7, 0.9].flatMap((s) => [[s, FAIL], [s + 0.1, OK]] as const)], 1, 'up -', 'nor are five of many answers a second'],
    [[[0, SPENT]], 0, 'down 30', "one request's retries are spent"],
    [[[0, OK], [1, 'reserve']], 1, 'up -', 'who is up needs no trial'],
    [[[0, SPENT]], 29.999, 'down 0.001', 'until the last moment'],
    [[[0, SPENT]], 30, 'trying 0', 'then the next request tries it'],
    [[[0, SPENT], [30, 'reserve']], 30, 'trying 30', 'one at a time'],
    [[[0, SPENT], [30, 'reserve']], 60, 'trying 0', 'a trial that was never heard of again blocks nobody'],
    [[[0, SPENT], [10, 'reserve']], 10, 'down 20', 'no trial while it is down'],
    [[[0, SPENT], [30, 'reserve'], [31, { kind: 'untried' }]], 31, 'trying 0', 'a trial that was not made leaves it to the next request'],
    [[[0, SPENT], [30, 'reserve'], [31, { kind: 'untried' }], [31, FAIL]], 31, 'down 60', 'whose failure counts as that of a trial'],
    [[[0, SPENT], [10, { kind: 'untried' }]], 10, 'down 20', 'nor does it shorten an outage'],
    [[[0, SPENT], [30, 'reserve'], [31, OK]], 31, 'up -', 'a success closes'],
    [[[0, SPENT], [30, 'reserve'], [31, FAIL]], 31, 'down 60', 'one failed trial doubles'],
    [[[0, SPENT], [30, FAIL]], 30, 'down 60', 'also where nobody reserved it'],
    [[[0, SPENT], [10, SPENT], [20, FAIL]], 20, 'down 10', 'failures while it is down do not lengthen it'],
    [[[0, SPENT], [30, SPENT], [90, SPENT], [210, SPENT], [450, SPENT]], 450, 'down 300', '30, 60, 120, 240, and 300 s at most'],
    [[[0, SPENT], [30, SPENT], [90, OK], [91, SPENT]], 91, 'down 30', 'an answer begins anew'],
    [[[0, SPENT], [10, { kind: 'probed', ok: true }]], 10, 'up -', 'a good probe closes'],
    [[[0, SPENT], [10, { kind: 'probed', ok: true }], [11, SPENT]], 11, 'down 60', 'but is no proof: who then fails again stays out longer'],
    [[[0, SPENT], [10, { kind: 'probed', ok: true }], [10.5, OK], [11, SPENT]], 11, 'down 30', 'an answer is, however soon after it'],
    [[[0, SPENT], [10, { kind: 'probed', ok: false }]], 10, 'down 20', 'a bad probe while down changes nothing'],
    [[[0, SPENT], [30, { kind: 'probed', ok: false }]], 30, 'down 60', 'a bad probe when it is due doubles'],
    [[0, 1, 2, 3, 4].map((s) => [s, { kind: 'probed', ok: false }] as const), 4, 'down 30', 'five bad probes of an idle one'],
    [[[0, limit(20_000)]], 0, 'resting 20', 'a rate limit rests'],
    [[[0, limit(20_000)]], 20, 'up -', 'and is over when it is over'],
    [[[0, limit(86_400_000)]], 0, 'resting 300', 'not for a day'],
    [[0, 1, 2, 3, 4, 5].map((s) => [s, limit(1_000)] as const), 5, 'resting 1', 'rate limiting is no outage, however often'],
    [[[0, of('retry', 20_000)]], 0, 'resting 20', 'a failure that names a time rests as well'],
    [[0, 1, 2, 3, 4].map((s) => [s, of('retry', 1_000)] as const), 4, 'down 30', 'but it is a failure: five in a row are an outage'],
    [[[0, { ...SPENT, retryAfterMs: 1_000 }]], 0, 'down 30', 'and so are spent retries, whatever time is named'],
    [[[0, { ...SPENT, retryAfterMs: 90_000 }]], 31, 'resting 59', 'a longer time than the outage still holds'],
    [[[0, limit(20_000)], [1, OK]], 1, 'resting 19', 'an answer that was under way does not end a rest'],
    [[[0, of('key')]], 0, 'down 300', 'a refused key is out at once'],
    [[[0, of('money')]], 0, 'down 300', 'so is an empty account'],
    [[[0, of('money')], [10, { kind: 'probed', ok: true }]], 10, 'down 290', 'listing models costs nothing and proves no money'],
    [[[0, of('key')], [10, { kind: 'probed', ok: true }]], 10, 'up -', 'listing models proves the key'],
    [[[0, of('money')], [10, of('client')]], 10, 'down 290', 'nor does a refusal of what was under way'],
    [[[0, of('money')], [10, probed(false)], [20, probed(true)]], 20, 'down 280', 'nor does it after a probe that failed'],
    [[[0, of('money')], [300, 'reserve'], [301, SPENT], [302, probed(true)]], 302, 'down 299', 'nor after a trial that failed otherwise'],
    [[[0, of('money')], [10, of('key')], [20, probed(true)]], 20, 'down 290', 'nor where the key was refused meanwhile'],
    [[[0, of('key')], [10, of('money')], [20, probed(true)]], 20, 'down 290', 'the newer of two is what counts'],
    [[[0, of('gone')], [1, SPENT], [2, probed(false)], [3, OK]], 3, 'up -', 'an answer disproves all of it'],
    [[[0, of('money')], [10, OK]], 10, 'up -', 'an answer proves the money'],
    [[[0, FAIL], [1, FAIL], [2, FAIL], [3, FAIL], [4, of('client')], [5, FAIL]], 5, 'up -', 'a refused request came from a living provider'],
    [[[0, SPENT], [30, 'reserve'], [31, of('too_long')]], 31, 'up -', 'also as a trial'],
    [[[0, SPENT], [30, 'reserve'], [31, of('policy')]], 31, 'up -', 'also as a trial'],
  ];
  for (const [events, atS, shown, why] of cases) {
    let entry: HealthEntry | undefined;
    for (const [s, event] of events) {
      const nowMs = START_MS + s * 1_000;
      if (event !== 'reserve') entry = observe(entry, event, nowMs);
      else if (entry !== undefined) entry = reserveTrial(entry, nowMs);
    }
    const view = describeHealth(entry, START_MS + atS * 1_000);
    t.equal(`${view.state} ${view.nextProbeMs === undefined ? '-' : view.nextProbeMs / 1_000}`, shown, why);
    t.ok(view.reason.length > 0, `${why}: in words`);
  }
});

t.test('a clock that is set back makes no outage and no rest immortal', async (t) => {
  for (const entry of [DOWN, RESTING]) {
    t.ok(isOpen(entry, START_MS) || isResting(entry, START_MS), 'at first it counts');
    const yesterdayMs = START_MS - 86_400_000;
    t.notOk(isOpen(entry, yesterdayMs) || isResting(entry, yesterdayMs), 'a day back it counts as over');
  }
  const again = observe(DOWN, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: true }, START_MS - 86_400_000);
  t.equal(describeHealth(again, START_MS - 86_400_000).nextProbeMs, 60_000, 'and the next failure counts by the new clock');
});

t.test('when it last answered is kept to the second', async (t) => {
  const answers = [0, 400, 999, 1_000, 1_700, 2_000, -86_400_000].map((ms) => START_MS + ms);
  let entry: HealthEntry | undefined;
  const kept = answers.map((nowMs) => (entry = observe(entry, { kind: 'answered' }, nowMs)).lastSuccessMs - START_MS);
  t.strictSame(kept, [0, 0, 0, 1_000, 1_000, 2_000, -86_400_000], 'by the clock as it is, also where that was set back');
});

t.test('what an attempt says about health', async (t) => {
  const RETRYING: Step = { do: 'retry', afterMs: 1_000 };
  const ON: Step = { do: 'reroute', skip: 0 };
  const cases: readonly (readonly [Failure, Step, Partial<Trail>, HealthEvent | undefined, string])[] = [
    [failed('retry'), RETRYING, {}, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: false }, 'a retry is coming'],
    [failed('retry'), ON, { triesHere: 4 }, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: true }, 'the retries are spent'],
    [failed('retry'), { do: 'give-up', why: 'deadline' }, { triesHere: 3 }, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: false }, 'a deadline that comes before the last of them is no outage'],
    [failed('retry', { maybeServed: true }), ON, {}, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: false }, 'one timeout is no outage'],
    [failed('retry'), ON, { once: true }, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: false }, 'a client that retries itself does not open a circuit alone'],
    [failed('overloaded'), ON, { triesHere: 2 }, { kind: 'failed', class: 'overloaded', retryAfterMs: undefined, spent: true }, 'its one retry is spent'],
    [failed('next'), ON, {}, { kind: 'failed', class: 'next', retryAfterMs: undefined, spent: true }, 'it has no retries to spend'],
    [failed('next', { maybeServed: true }), ON, {}, { kind: 'failed', class: 'next', retryAfterMs: undefined, spent: false }, 'a stream that broke off once is no outage'],
    [failed('gone', { status: 404 }), ON, {}, { kind: 'failed', class: 'gone', retryAfterMs: undefined, spent: true }, 'a model that is gone stays gone'],
    [failed('retry', { status: 429, retryAfterMs: 7_000 }), RETRYING, {}, { kind: 'limited', class: 'retry', forMs: 7_000 }, 'the wait it asked for'],
    [failed('retry', { status: 429 }), RETRYING, {}, { kind: 'limited', class: 'retry', forMs: 1_000 }, 'a 429 without one is still no outage'],
    [failed('retry', { status: 429 }), ON, { triesHere: 4 }, { kind: 'limited', class: 'retry', forMs: 30_000 }, 'not even after all retries'],
    [failed('retry', { status: 503, retryAfterMs: 7_000 }), ON, { triesHere: 4 }, { kind: 'failed', class: 'retry', retryAfterMs: 7_000, spent: true }, 'a 503 is an outage though it names a time'],
    [failed('retry', { status: 500, doubtful: true }), ON, { triesHere: 4 }, undefined, 'it may be the request'],
    [failed('retry', { status: 429, retryAfterMs: 7_000 }), RETRYING, { byok: true }, undefined, "one user's own limit rests nobody else"],
    [failed('key', { status: 401 }), { do: 'refuse' }, { byok: true }, undefined, "one user's bad key is no outage"],
    [failed('money', { status: 402 }), { do: 'refuse' }, { byok: true }, undefined, "one user's empty account is no outage"],
    [failed('gone', { status: 404 }), ON, { byok: true }, undefined, 'a model outside one user\'s plan is not gone'],
    [failed('retry'), ON, { byok: true, triesHere: 4 }, { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: true }, 'a 500 is a 500 under any key'],
    [failed('key', { status: 401 }), ON, {}, { kind: 'failed', class: 'key', retryAfterMs: undefined, spent: true }, "the operator's key matters to all"],
  ];
  for (const [outcome, step, at, event, why] of cases) t.strictSame(healthEvent(outcome, { step, trail: trail(at), rules: RULES }), event, why);
  t.strictSame(breakEvent(failed('next', { maybeServed: true }), true), { kind: 'failed', class: 'next', retryAfterMs: undefined, spent: false }, 'a stream that broke off is one failure');
  t.strictSame(breakEvent(failed('money', { status: 402 }), false), { kind: 'failed', class: 'money', retryAfterMs: undefined, spent: false }, "the operator's account ran out on the way");
  t.strictSame(breakEvent(failed('money', { status: 402 }), true), undefined, "a user's account did");
  t.strictSame(healthEvent({ kind: 'answered' }, { step: { do: 'finish' }, trail: trail(), rules: RULES }), { kind: 'answered' });
});

t.test('no row of failures passes the caps', async (t) => {
  const outcomes = fc.array(fc.record({
    class: fc.constantFrom(...CLASSES), maybeServed: fc.boolean(), tookMs: fc.integer({ min: 0, max: 40_000 }),
    retryAfterMs: fc.option(fc.integer({ min: 0, max: 200_000 }), { nil: undefined }),
  }), { minLength: 1, maxLength: 80 });
  const rules = fc.record({
    retries: fc.integer({ min: 0, max: 6 }), backoffMs: fc.array(fc.integer({ min: 0, max: 9_000 }), { maxLength: 5 }),
    maxAttempts: fc.integer({ min: 1, max: 12 }), deadlineMs: fc.integer({ min: 1, max: 120_000 }),
  });
  const others = fc.array(fc.record({ larger: fc.boolean(), sameProvider: fc.boolean() }), { maxLength: 6 });
  t.doesNotThrow(() => fc.assert(fc.property(outcomes, rules, others, fc.boolean(), fc.boolean(), (row, limits, candidates, once, byok) => {
    let remaining = candidates;
    let elapsedMs = 0;
    let triesHere = 0;
    let served = false;
    for (const [index, { tookMs, ...more }] of row.entries()) {
      triesHere += 1;
      if (index > 0 && elapsedMs >= limits.deadlineMs) throw new Error('an attempt began after the deadline');
      if (index + 1 > limits.maxAttempts) throw new Error('more attempts than allowed');
      if (triesHere > limits.retries + 1) throw new Error('more retries than allowed');
      if (triesHere > 1 && (once || served)) throw new Error('sent again to who may have served it');
      elapsedMs += tookMs;
      const step = nextStep(failed(more.class, more), { triesHere, tries: index + 1, remaining, fitsElsewhere: false, translated: false, askedIsDown: false, elapsedMs, once, byok }, limits);
      served = more.maybeServed;
      if (step.do === 'retry') elapsedMs += step.afterMs;
      else if (step.do === 'reroute') {
        const to = remaining[step.skip];
        if (to === undefined) throw new Error('rerouted to nobody');
        if (served && to.sameProvider && more.class !== 'too_long') throw new Error('rerouted to who may have served it');
        remaining = remaining.slice(step.skip + 1);
        triesHere = 0;
      } else return;
    }
  }), { numRuns: 2_000 }));
});

t.test('no plan has a model without a credential, or leaves one out without a word', async (t) => {
  const states = fc.constantFrom(undefined, DOWN, RESTING);
  const names = ['a', 'b', 'c', 'd', 'e'] as const;
  const world = fc.record({
    keyed: fc.subarray(['p', 'q', 'r']), routing: fc.constantFrom('auto', 'cheapest', 'fallback'),
    needs: fc.record({ tools: fc.boolean(), vision: fc.boolean(), linked: fc.boolean(), json: fc.constantFrom('none', 'json_object', 'json_schema') }),
    only: fc.option(fc.constantFrom('p', 'q', 'r'), { nil: undefined }), prompt: fc.integer({ min: 0, max: 300_000 }),
    health: fc.tuple(states, states, states, states, states),
    prices: fc.tuple(...names.map(() => fc.integer({ min: 0, max: 50 }))),
  });
  t.doesNotThrow(() => fc.assert(fc.property(world, ({ keyed, routing, needs, only, prompt, health, prices }) => {
    const models = names.map((id, at) => model(id, ['p', 'q', 'r'][at % 3] ?? 'p', { inOut: [String(prices[at]), '1'], contextWindow: 50_000 * (at + 1) }));
    const made = planCandidates(input({
      catalog: catalogOf(models, { a: ['b', 'c', 'd', 'e'] }),
      servedBy: (one) => keyed.find((provider) => provider === one.provider),
      health: new Map(models.flatMap((one, at) => (health[at] === undefined ? [] : [[healthKey(one.provider, one.id), health[at]]]))),
      only,
      request: { model: 'a', routing, needs, promptEstimate: prompt, promptBound: prompt * 4 },
    }));
    for (const { provider, model: { provider: maker } } of made.candidates) {
      if (!keyed.includes(maker) || provider !== maker || (only !== undefined && only !== maker)) throw new Error('asked without a credential');
    }
    const named = [...made.candidates.map((one) => one.model.id), ...made.skipped.map((one) => one.model)].toSorted();
    if (named.join() !== names.join()) throw new Error(`each model is a candidate or left out, once: ${named.join()}`);
    const costs = made.candidates.map((one) => one.expectedCost);
    if (routing === 'cheapest' && costs.some((cost, at) => at > 0 && cost < (costs[at - 1] ?? 0n))) throw new Error('not by cost');
  }), { numRuns: 2_000 }));
});
