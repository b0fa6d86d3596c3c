import { SANDBOX_EMAIL } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { Ledger } from '../ledger/index.ts';
import type { GatewayParts, Running } from './types.ts';

/**
 * Which account has play money: the sandbox's own. Nobody paid for its credits, so they are good while the sandbox is on and for nothing
 * afterwards: its keys may lie about for as long as the books do.
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

/**
 * Play money buys nothing where the sandbox is off.
 * @throws Fault `account_inactive` (403)
 */
export async function assertGood({ play, sandbox }: Pick<Running, 'play' | 'sandbox'>, accountId: string): Promise<void> {
  if (sandbox !== undefined || !(await play.isOf(accountId))) return;
  throw new Fault('account_inactive', { fill: { state: "the sandbox's: its credits are play money, and the sandbox is off", mend: 'Use a key of another account, or start the daemon with --sandbox.' } });
}

/**
 * Play payments are for whoever rehearses: beside keys of real providers, whoever reaches their page would buy real answers with them.
 * @throws Fault `payments_unavailable` (503) on a play payment into any other account than the sandbox's, where a provider has a key
 */
export async function assertRehearsal({ play, credentials }: Pick<Running, 'play' | 'credentials'>, accountId: string): Promise<void> {
  if ((await play.isOf(accountId)) || (await credentials.operatorProviders()).size === 0) return;
  throw new Fault('payments_unavailable', {
    fill: { detail: "Play money is not taken while a provider has a real key. Set stripe.secret_key, or rehearse with the sandbox's own account." }, retryAfterS: 60, shouldRetry: false,
  });
}
