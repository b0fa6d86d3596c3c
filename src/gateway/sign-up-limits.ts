import { isLoopback } from './door.ts';
import { limitFault, type LimitRefusal } from './limits.ts';

interface Bucket {
  tokens: number;
  refilledMs: number;
}

/** Somebody wants to sign up. */
export interface SignUpWish {
  readonly email: string;
  readonly remoteAddress: string | undefined;
}

const HOUR_MS = 3_600_000;
/** Sign-ups in an hour, refilled evenly: of one mail address, of one client, of everybody. */
const AN_HOUR = { address: 5, client: 20, everybody: 300 } as const;

/**
 * How often anybody may ask for a sign-up. An address is counted whether or not it has an account, so that a refusal tells
 * nothing. It lives in memory; that one account is not flooded with mails after a restart is the books' doing.
 */
export class SignUpLimits {
  readonly #buckets = new Map<string, Bucket>();
  readonly #nowMs: () => number;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Counts one wish, if none of its three buckets is empty. A client on this machine is not counted: it is the operator's own,
   * or a proxy that speaks for everybody.
   * @throws Fault `rate_limit_exceeded` (429)
   */
  enter(wish: SignUpWish): void {
    const refused = this.admit(wish);
    if (refused !== undefined) throw limitFault(refused);
  }

  /** As `enter`, but a refusal is what it returns. */
  admit(wish: SignUpWish): LimitRefusal | undefined {
    const nowMs = this.#nowMs();
    this.#forgetFull(nowMs);
    const client = clientOf(wish.remoteAddress);
    const wanted: readonly (readonly [name: string, anHour: number])[] = [
      ['everybody', AN_HOUR.everybody],
      [`address ${wish.email.toLowerCase()}`, AN_HOUR.address],
      ...(client === undefined ? [] : [[`client ${client}`, AN_HOUR.client] as const]),
    ];
    const buckets = wanted.map(([name, anHour]) => ({ name, anHour, tokens: this.#tokens(name, anHour, nowMs) }));
    const empty = buckets.find(({ tokens }) => tokens < 1);
    if (empty !== undefined) {
      const waitS = ((1 - empty.tokens) * HOUR_MS) / empty.anHour / 1000;
      return { detail: `Too many sign-ups. Try again in ${Math.ceil(waitS / 60)} minutes.`, retryAfterS: waitS, headers: {} };
    }
    for (const { name, tokens } of buckets) this.#buckets.set(name, { tokens: tokens - 1, refilledMs: nowMs });
    return undefined;
  }

  #tokens(name: string, anHour: number, nowMs: number): number {
    const bucket = this.#buckets.get(name);
    return bucket === undefined ? anHour : Math.min(anHour, bucket.tokens + ((nowMs - bucket.refilledMs) * anHour) / HOUR_MS);
  }

  /** After an hour any bucket is full, as one that is not there. There are at most as many as there were sign-ups in it. */
  #forgetFull(nowMs: number): void {
    for (const [name, { refilledMs }] of this.#buckets) if (nowMs - refilledMs >= HOUR_MS) this.#buckets.delete(name);
  }
}

/** An IPv4 address, or the first half of an IPv6 address, for whoever has one has a whole network. Undefined: this machine. */
function clientOf(remoteAddress: string | undefined): string | undefined {
  const address = (remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  if (address === '' || isLoopback(address)) return undefined;
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('::');
  const [front, back] = [head, tail].map((half) => (half === '' ? [] : half.split(':')));
  const missing = address.includes('::') ? 8 - (front?.length ?? 0) - (back?.length ?? 0) : 0;
  return [...(front ?? []), ...Array.from({ length: missing }, () => '0'), ...(back ?? [])].slice(0, 4).join(':');
}
