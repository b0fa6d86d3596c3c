import { chooseMode, keysInMode, type ModeChoice } from '../accounts/index.ts';
import { findModel, nearestModel, type Model } from '../catalog/index.ts';
import { Fault, toEnvelope } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { formatUsd, usdNumber } from '../money/index.ts';
import { planCandidates, type Plan } from '../routing/index.ts';
import { readChatRequest, writeUsage, type ChatRequest, type JsonObject } from '../wire/index.ts';
import { askProviders, type Asked, type Asking } from './attempts.ts';
import { ClientGone, readWritten } from './body.ts';
import { takeHold } from './holds.ts';
import type { Lease } from './limits.ts';
import { StreamMouth, servingHeaders } from './mouth.ts';
import { assertGood } from './play.ts';
import { breakOf, refusalOf, unavailable } from './refusals.ts';
import { estimated, failInBand, relayStream, servedBy, type Ended, type Gist, type Streaming } from './relay.ts';
import { chatFault } from './send.ts';
import { release, settle, type Booked, type Served } from './settle.ts';
import type { Answer, Billing, Call, ChatLine, Credential, Running, Streamed } from './types.ts';

/**
 * The walk of one chat request, from bytes to receipt. Source: DESIGN section 2.
 * Every refusal before the hold costs nothing and asks nobody; every path after it ends in a settlement or a release.
 *
 * A stream may be open for hours. What is needed until its first words alone (the body, the plan) belongs to `open`, which is over by then.
 */
export async function serveChat(running: Running, call: Call, owner: KeyOwner): Promise<Answer | Streamed> {
  const stand: Stand = { billing: { mode: 'standard', cost: 0n, balance: owner.balance }, lease: undefined, booked: undefined, mouth: undefined, heapBytes: 0 };
  try {
    const begun = await open(running, call, owner, stand);
    giveBack(running, stand);
    return 'answer' in begun ? streamed(begun, await relayStream(begun)) : begun;
  } catch (thrown) {
    const cause = stand.booked === undefined ? thrown : await released(stand.booked, stand.mouth, thrown);
    // Nobody is left to be told; who answers all requests knows what to note of it.
    if (cause instanceof ClientGone) throw cause;
    if (!(cause instanceof Fault)) running.log.error('chat_failed', cause);
    return chatFault(call, cause, stand.billing, { lease: await leaseToTell(running, owner, stand.lease), mayHaveAsked: stand.booked !== undefined });
  } finally {
    if (stand.mouth !== undefined) running.metrics.streams -= 1;
    giveBack(running, stand);
    stand.lease?.leave();
  }
}

/** What a refusal tells of the account's limit: what its own admission found, or, where there was none, how the limit stands. */
export async function leaseToTell({ limits }: Running, owner: KeyOwner, own: Lease | undefined): Promise<Pick<Lease, 'headers'>> {
  return own !== undefined && Object.keys(own.headers).length > 0 ? own : { headers: await limits.standing(owner) };
}

/** What a call has come to so far, for whatever may be thrown, and for its end. */
interface Stand {
  billing: Billing;
  lease: Lease | undefined;
  booked: Booked | undefined;
  mouth: StreamMouth | undefined;
  /** What its body may take of the heap; an answer that has begun needs it no more. */
  heapBytes: number;
}

function giveBack(running: Running, stand: Stand): void {
  running.load.give(stand.heapBytes);
  stand.heapBytes = 0;
}

/** From the bytes to an answer, or to the first words of a stream. */
async function open(running: Running, call: Call, owner: KeyOwner, stand: Stand): Promise<Answer | Streamed | Streaming> {
  const { settings, load } = running;
  const weigh = (heapBytes: number) => {
    load.take(heapBytes);
    stand.heapBytes = heapBytes;
  };
  const { value: body, written } = await readWritten(call, settings.limits, { arriving: load.arriving, weigh }, call.body);
  call.body = undefined;
  const { pictureTokens, mediaTokens } = settings.billing;
  const request = readChatRequest(body, { pictureTokens, mediaTokens, routingHeader: header(call, 'x-findtoken-routing'), written });
  // A refusal too is one of the mode that was asked for.
  if (request.providerKey !== undefined) stand.billing = { mode: 'byok', cost: 0n, balance: undefined };
  const model = requestedModel(running, request);
  const choice = chooseMode({ request, header: header(call, 'x-findtoken-mode'), owner, model, catalog: settings.catalog });
  const byok = choice.mode === 'byok';
  if (!byok) await assertGood(running, owner.accountId);
  const billing = (stand.billing = { mode: choice.mode, cost: 0n, balance: byok ? undefined : owner.balance });
  const lease = (stand.lease = running.limits.enter(owner, call.id));
  const { plan, nowMs } = await planFor(running, request, model, owner, choice);
  if (plan.candidates.length === 0) throw unavailable(model.id, [], plan);
  const hold = await takeHold(running, call, { owner, request, plan, choice, nowMs }).catch((refused: unknown) => leaveTrial(running, plan, refused));

  const booked = (stand.booked = { running, call, hold, byok });
  if (request.stream) {
    stand.mouth = new StreamMouth(call, running.timing, headHeaders(billing, hold.balance, lease), running.clock);
    running.metrics.streams += 1;
  }
  const asking: Asking = {
    booked,
    request,
    plan,
    mouth: stand.mouth,
    credential: (provider) => credentialFor(running, owner, choice, provider),
    used: { secret: '' },
    clientRetries: (retriesOf(call) ?? 0) > 0,
    traceparent: header(call, 'traceparent'),
  };
  const asked = await askProviders(asking);
  running.metrics.attempted(asked.traces);
  return conclude(asking, asked, billing, lease);
}

/** What is told of a stream that has ended. */
function streamed(streaming: Streaming, ended: Ended): Streamed {
  const { booked, mouth, gist } = streaming;
  const { firstByteMs } = mouth;
  if (firstByteMs !== undefined) booked.running.metrics.added(firstByteMs - booked.call.startedMs - booked.call.waits.ms, true);
  return { streamed: true, status: 200, chat: chatLine(booked, gist, servedBy(streaming), ended, firstByteMs) };
}

/** Settles or releases what asking came to, and tells the client. */
async function conclude(asking: Asking, asked: Asked, billing: Billing, lease: Lease | undefined): Promise<Answer | Streamed | Streaming> {
  const { booked, request, plan, mouth } = asking;
  const { call, byok } = booked;
  const served: Served = { candidate: asked.candidate, attempts: asked.traces.length, firstByteMs: mouth?.firstByteMs };
  if (asked.kind === 'stream' && mouth !== undefined) {
    const { candidate, traces, stream, answer, ready } = asked;
    const { requestedModel: model, promptEstimate } = request;
    return { booked, mouth, gist: { requestedModel: model, promptEstimate, stream: true }, candidate, traces, stream, answer, ready };
  }
  if (asked.kind === 'hung-up') {
    const broken = breakOf(call.signal, asked.traces);
    if (broken !== undefined) return failed(asking, served, broken, billing, lease);
    mouth?.close();
    const ended = await hungUp(asking, served, asked.inFlight);
    return { streamed: true, status: 499, chat: chatLine(booked, request, served, ended, undefined) };
  }
  if (asked.kind === 'whole') {
    const usage = asked.answer.usage ?? estimated(request, asked.answer.completionEstimate);
    const receipt = await settle(booked, served, usage, call.signal.aborted ? 'aborted' : 'ok');
    booked.running.health.observe(asked.candidate.healthKey, { kind: 'answered' });
    booked.running.metrics.added(booked.running.clock.monotonicMs() - call.startedMs - call.waits.ms, false);
    return {
      status: 200,
      body: withUsage(asked.answer.body, writeUsage(usage, usdNumber(receipt.cost))),
      headers: Object.assign(servingHeaders(asked.candidate, served.attempts), lease?.headers),
      billing: { mode: billing.mode, cost: receipt.cost, balance: byok ? undefined : receipt.balance },
      chat: chatLine(booked, request, served, { receipt, usage, end: 'ok' }, undefined),
    };
  }
  if (asked.kind === 'stream') throw new Error('a stream was answered to a request that asked for none');
  return failed(asking, served, refusalOf({ ...asked, provider: asked.candidate.provider }, request.model, plan, asking.used.secret), billing, lease);
}

/** Releases the hold of a call that came to no words, and tells its client why: in-band where the head of a stream is out. */
async function failed({ booked, request, mouth }: Asking, served: Served, fault: Fault, billing: Billing, lease: Lease | undefined): Promise<Answer | Streamed> {
  const { call } = booked;
  if (mouth?.isOpen === true) {
    const ended = await failInBand(booked, mouth, served, fault);
    return { streamed: true, status: 200, chat: chatLine(booked, request, served, ended, undefined) };
  }
  mouth?.close();
  const receipt = await release(booked, served, served.attempts, fault.code);
  const answer = chatFault(call, fault, billing, { lease });
  return { ...answer, headers: { ...answer.headers, ...servingHeaders(served.candidate, served.attempts) }, chat: chatLine(booked, request, served, { receipt, usage: undefined, end: fault.code }, undefined) };
}

/** The answer with the figures it was billed by. Set on the copy: a literal that spreads and then overrides is many times slower. */
function withUsage(answer: JsonObject, usage: JsonObject): JsonObject {
  const body = { ...answer };
  body['usage'] = usage;
  return body;
}

/** Closes the books of a call whose station threw, before anybody is told: nobody pays for our bugs. Returns what is to be told. */
async function released(booked: Booked, mouth: StreamMouth | undefined, thrown: unknown): Promise<unknown> {
  let told = thrown;
  mouth?.close();
  try {
    await release(booked, undefined, 0, thrown instanceof Fault ? thrown.code : 'internal_error');
  } catch (worse) {
    told = worse;
  }
  // However the books fare: a stream that nobody ends has its client wait for ever.
  if (mouth?.isOpen === true) {
    const fault = told instanceof Fault ? told : new Fault('internal_error', { fill: { request_id: booked.call.id } });
    mouth.fail(toEnvelope(fault, booked.call.id), undefined);
  }
  return told;
}

/** The client left before the first words: it pays for the prompt if a provider was working on it, else nothing. */
async function hungUp(asking: Asking, served: Served, inFlight: boolean): Promise<Ended> {
  const { booked, request } = asking;
  if (!inFlight) return { receipt: await release(booked, served, served.attempts, 'aborted'), usage: undefined, end: 'aborted' };
  const usage = estimated(request, 0);
  return { receipt: await settle(booked, served, usage, 'aborted'), usage, end: 'aborted' };
}

function requestedModel(running: Running, request: ChatRequest): Model {
  const { catalog } = running.settings;
  const model = findModel(catalog, request.model);
  if (model !== undefined) return model;
  const nearest = nearestModel(catalog, request.model);
  // Elsewhere such words are models.
  const isRouting = /^(?:auto|cheapest|fallback)$/.test(request.model);
  const hint = isRouting ? ` It is a routing: send it as "routing", or behind a model, as in "deepseek-chat:${request.model}".` : nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`;
  throw new Fault('model_not_found', { fill: { model: JSON.stringify(request.requestedModel.slice(0, 100)), hint }, param: 'model' });
}

/** Who is asked, and the moment by which that is priced; the books have the request begin then, so that its row can be reckoned anew. */
async function planFor(running: Running, request: ChatRequest, model: Model, owner: KeyOwner, choice: ModeChoice): Promise<{ readonly plan: Plan; readonly nowMs: number }> {
  const providers = choice.mode === 'standard' ? await running.credentials.operatorProviders() : new Set<string>();
  const { servedBy, byok, only } = keysInMode(choice, model, owner, { providers, sandbox: running.sandbox !== undefined });
  const { catalog, billing } = running.settings;
  const { entries: health } = running.health;
  const planNow = () => {
    const nowMs = running.clock.nowMs();
    return { plan: planCandidates({ catalog, request, servedBy, byok, health, nowMs, only, defaultMaxTokens: billing.defaultMaxTokens }), nowMs };
  };
  const planned = planNow();
  const { plan } = planned;
  if (choice.only !== undefined && plan.candidates.length === 0) {
    throw new Fault('invalid_request', { fill: { detail: `provider_key names ${choice.only}, which serves neither ${request.model} nor an equivalent of it. Ask for one of its models.` }, param: 'provider_key' });
  }
  // Marked before anything is awaited, so that of many requests only one tries a provider that may be back.
  const [first] = plan.candidates;
  const reserved = first === undefined || running.health.reserve(first.healthKey);
  // Where another was quicker, the health that it left tells who is next.
  return reserved === true || (await reserved) ? planned : planNow();
}

/** A request that asks nobody tries nobody: the mark that it would is taken back, or an account without credit would keep all others from a provider that is back. */
function leaveTrial(running: Running, { candidates: [first] }: Plan, refused: unknown): never {
  // The mark of another one would have put it behind the others, as a last resort.
  const isOurs = first?.trial === false && running.health.entries.get(first.healthKey)?.state === 'half-open';
  if (isOurs) running.health.observe(first.healthKey, { kind: 'untried' });
  throw refused;
}

/** Where the operator's key was looked at a moment ago, it is there at once. */
function credentialFor(running: Running, owner: KeyOwner, choice: ModeChoice, provider: string): Credential | undefined | Promise<Credential | undefined> {
  const { baseUrl } = running.settings.catalog.providers.get(provider) ?? {};
  if (choice.inlineKey !== undefined) return baseUrl === undefined ? undefined : { provider, baseUrl, apiKey: choice.inlineKey };
  if (choice.mode === 'byok') return running.credentials.registered(owner.accountId, provider);
  if (provider === 'sandbox') return { provider, baseUrl: baseUrl ?? '', apiKey: '' };
  return running.credentials.operator(provider);
}

/** What the head of a stream can say: the cost is not known yet. */
function headHeaders({ mode }: Billing, balance: bigint, lease: Lease): Record<string, string> {
  const headers: Record<string, string> = mode === 'byok' ? { 'x-findtoken-mode': mode } : { 'x-findtoken-mode': mode, 'x-findtoken-balance': formatUsd(balance) };
  return Object.assign(headers, lease.headers);
}

function chatLine(booked: Booked, request: Gist, served: Served, ended: Ended, firstByteMs: number | undefined): ChatLine {
  const { usage, receipt } = ended;
  return {
    mode: booked.byok ? 'byok' : 'standard',
    model_requested: request.requestedModel,
    model_used: served.candidate.model.id,
    provider: served.candidate.provider,
    attempts: served.attempts,
    stream: request.stream,
    in_tok: usage?.prompt ?? 0,
    cached_tok: usage?.cached ?? 0,
    out_tok: usage?.completion ?? 0,
    cost: formatUsd(receipt.cost),
    ttft_ms: firstByteMs === undefined ? undefined : Math.round(firstByteMs - booked.call.startedMs),
    upstream_ms: Math.round(booked.call.waits.ms),
    end: ended.end,
    client_abort: ended.end === 'aborted' ? true : undefined,
    sdk: sdkOf(booked.call),
    retry_count: retriesOf(booked.call),
  };
}

/** OpenAI's SDKs name themselves in headers. What is not short and plain is not theirs, and is left out. */
function sdkOf(call: Call): string | undefined {
  const language = header(call, 'x-stainless-lang');
  if (language === undefined) return undefined;
  const name = `${language} ${header(call, 'x-stainless-package-version') ?? ''}`.trim();
  return /^[\w. -]{1,40}$/.test(name) ? name : undefined;
}

/** How often the client's SDK has asked before; undefined where it does not say. */
function retriesOf(call: Call): number | undefined {
  const said = header(call, 'x-stainless-retry-count');
  return said !== undefined && /^\d{1,3}$/.test(said) ? Number(said) : undefined;
}

function header(call: Call, name: string): string | undefined {
  const value = call.req.headers[name];
  return typeof value === 'string' ? value : undefined;
}
