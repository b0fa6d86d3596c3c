import { SANDBOX_EMAIL } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { Ledger } from '../ledger/index.ts';
import type { GatewayParts, Running } from './types.ts';

/**
 * Which account has play money: the sandbox's own. Nobody paid for its credits, so they buy what the sandbox answers and nothing else: no
 * key of the operator's is used for it, whether that came before the rehearsal or long after it.
 */
export class PlayMoney {
  readonly #ledger: Pick<Ledger, 'findAccount'>;
  readonly #mayCome: boolean;
  #accountId: string | undefined;
  #isKnown = false;

  constructor({ ledger, sandbox }: Pick<GatewayParts, 'ledger' | 'sandbox'>) {
    this.#ledger = ledger;
    // A daemon with the sandbox on makes the account when it is up.
    this.#mayCome = sandbox !== undefined;
  }

  /** Whether this account's credits are play money; at once from the first look on. */
  isOf(accountId: string): boolean | Promise<boolean> {
    return this.#isKnown ? accountId === this.#accountId : this.#look(accountId);
  }

  async #look(accountId: string): Promise<boolean> {
    this.#accountId = (await this.#ledger.findAccount(SANDBOX_EMAIL))?.id;
    this.#isKnown = this.#accountId !== undefined || !this.#mayCome;
    return accountId === this.#accountId;
  }
}

/** Providers that answer an account with the operator's key. */
export function operatorsFor({ play, credentials }: Pick<Running, 'play' | 'credentials'>, accountId: string): Promise<ReadonlySet<string>> {
  const isPlay = play.isOf(accountId);
  if (isPlay === false) return credentials.operatorProviders();
  return isPlay === true ? Promise.resolve(new Set()) : isPlay.then((found) => (found ? new Set() : credentials.operatorProviders()));
}

/** What the sandbox's account is told where there is no sandbox. */
export function sandboxIsOff(): Fault {
  return new Fault('account_inactive', { fill: { state: "the sandbox's: its credits are play money, and the sandbox is off", mend: 'Use a key of another account, or start the daemon with --sandbox.' } });
}

/**
 * Play payments are for whoever rehearses: where the operator has keys of real providers, they would buy real answers.
 * @throws Fault `payments_unavailable` (503) on a play payment into any other account than the sandbox's, where a provider has a key
 */
export async function assertRehearsal(running: Running, accountId: string): Promise<void> {
  if (running.payments?.kind !== 'sandbox' || (await operatorsFor(running, accountId)).size === 0) return;
  throw new Fault('payments_unavailable', {
    fill: { detail: "Payments are rehearsed here, and play money is not taken while a provider has a real key. Set stripe.secret_key, or rehearse with the sandbox's own account." }, retryAfterS: 60, shouldRetry: false,
  });
}
