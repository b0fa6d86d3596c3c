import { StorageFault } from './errors.ts';
import type { Operation, Outcome, WriteName } from './operations.ts';
import type { HoldRequest, HoldResult, Receipt, RequestEnd, Settlement } from './types.ts';

/**
 * How the two writes of every request cross to the worker thread and back: as lists. A list costs a third of an object with
 * the same values, for an object's names are copied anew with each. Everything else crosses as it is.
 */
export type Sent = Operation | SentHold | SentSettlement;
export type Told = Outcome | ToldHold | ToldReceipt;

type SentHold = readonly [
  name: 'hold', id: string, accountId: string, keyId: string, mode: HoldRequest['mode'], model: string, requestedModel: string, provider: string,
  stream: boolean, ceiling: bigint, month: string | undefined, freeRequests: number, nowMs: number, life: string | undefined,
];
type SentSettlement = readonly [
  name: 'settle', id: string, status: string, model: string, provider: string, promptTokens: number, cachedTokens: number, completionTokens: number,
  reasoningTokens: number, usageOrigin: RequestEnd['usageOrigin'], latencyMs: number, firstByteMs: number | undefined, attempts: number, nowMs: number,
  price: readonly [input: bigint, cachedInput: bigint, output: bigint, rate: bigint] | undefined, total: bigint, provider: bigint, fee: bigint,
];
type ToldHold = readonly [name: 'hold', balance: bigint, held: bigint, free: boolean];
type ToldReceipt = readonly [name: 'settle', id: string, first: boolean, cost: bigint, shortfall: bigint, balance: bigint, held: bigint];

/** `unpack(pack(operation))` is the operation. */
export function pack(operation: Operation): Sent {
  if (operation.name === 'hold') return packHold(operation.args[0]);
  return operation.name === 'settle' ? packSettlement(operation.args[0]) : operation;
}

export function unpack(sent: Sent): Operation {
  if ('name' in sent) return sent;
  return sent[0] === 'hold' ? { name: 'hold', args: [unpackHold(sent)] } : { name: 'settle', args: [unpackSettlement(sent)] };
}

/** The id of the request whose hold this is; undefined: another write. */
export function heldIn(sent: Sent): string | undefined {
  return !('name' in sent) && sent[0] === 'hold' ? sent[1] : undefined;
}

/** The same write; a hold bears from now on whose it is. */
export function signed(sent: Sent, life: string): Sent {
  if ('name' in sent || sent[0] !== 'hold') return sent;
  const [name, id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, month, freeRequests, nowMs] = sent;
  return [name, id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, month, freeRequests, nowMs, life];
}

/** An answer on its way back. @param name the operation that is answered */
export function packHoldResult(result: HoldResult): Told {
  return result.ok ? ['hold', result.balance, result.held, result.free] : { ok: true, value: result };
}

export function packReceipt({ id, first, cost, shortfall, balance, held }: Receipt): Told {
  return ['settle', id, first, cost, shortfall, balance, held];
}

export function unpackTold(told: Told): Outcome {
  if ('ok' in told) return told;
  if (told[0] === 'hold') {
    const [, balance, held, free] = told;
    return { ok: true, value: { ok: true, balance, held, free } satisfies HoldResult };
  }
  const [, id, first, cost, shortfall, balance, held] = told;
  return { ok: true, value: { id, first, cost, shortfall, balance, held } satisfies Receipt };
}

/** What the caller of a write that failed is thrown. */
export function failureOf({ message, storage }: Extract<Outcome, { ok: false }>): Error {
  return storage === undefined ? new Error(message) : new StorageFault(storage);
}

/** A write that the thread did not answer (it is gone, or closed), told as one that it refused: what crosses to another process is data. */
export function toldFailure(error: unknown): Told {
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, message, storage: error instanceof StorageFault ? error.detail : undefined };
}

/** Writes that share what their batch has summed up; the others look at the tables and take a transaction of their own. */
export function isGrouped(name: WriteName): boolean {
  return name === 'hold' || name === 'settle' || name === 'release' || name === 'progress';
}

function packHold(request: HoldRequest): SentHold {
  const { id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, byok, nowMs, life } = request;
  return ['hold', id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, byok?.month, byok?.free ?? 0, nowMs, life];
}

function unpackHold(sent: SentHold): HoldRequest {
  const [, id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, month, free, nowMs, life] = sent;
  return { id, accountId, keyId, mode, model, requestedModel, provider, stream, ceiling, byok: month === undefined ? undefined : { month, free }, nowMs, life };
}

function packSettlement(end: Settlement): SentSettlement {
  const { price, charge } = end;
  return [
    'settle', end.id, end.status, end.model, end.provider, end.promptTokens, end.cachedTokens, end.completionTokens, end.reasoningTokens,
    end.usageOrigin, end.latencyMs, end.firstByteMs, end.attempts, end.nowMs,
    price === undefined ? undefined : [price.input, price.cachedInput, price.output, price.rate], charge.total, charge.provider, charge.fee,
  ];
}

function unpackSettlement(sent: SentSettlement): Settlement {
  const [
    , id, status, model, provider, promptTokens, cachedTokens, completionTokens, reasoningTokens,
    usageOrigin, latencyMs, firstByteMs, attempts, nowMs, price, total, providerPart, fee,
  ] = sent;
  return {
    id, status, model, provider, promptTokens, cachedTokens, completionTokens, reasoningTokens, usageOrigin, latencyMs, firstByteMs, attempts, nowMs,
    price: price === undefined ? undefined : { input: price[0], cachedInput: price[1], output: price[2], rate: price[3] },
    charge: { total, provider: providerPart, fee },
  };
}
