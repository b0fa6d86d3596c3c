import type { Test } from 'tap';
import type { Recharge } from '../../src/ledger/index.ts';
import { openHouse, type House, type HouseOptions } from './house.ts';
import { openStripe, type FakeStripe, type SentEvent, type SignOptions } from './stripe.ts';

/** A house whose customers pay through a fake Stripe. The account starts with nothing. */
export interface Shop {
  readonly house: House;
  readonly stripe: FakeStripe;
  /** `POST /v1/user/credits`. */
  ask(body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** A recharge whose checkout is open. */
  open(amount?: number): Promise<Recharge>;
  /** A recharge that is paid and landed. */
  paid(amount?: number): Promise<Recharge & { readonly completed: SentEvent }>;
  recharge(id: string): Promise<Recharge>;
  /** Delivers an event and returns the status. */
  deliver(event: SentEvent, options?: SignOptions): Promise<number>;
  /** Differences that the audit finds. */
  audit(): Promise<readonly unknown[]>;
  account(): Promise<{ readonly balance: bigint; readonly frozen: boolean }>;
}

export async function openShop(t: Test, options: HouseOptions & { readonly secretKey?: string } = {}): Promise<Shop> {
  const { secretKey, yaml, ...rest } = options;
  const stripe = await openStripe(t, secretKey === undefined ? {} : { secretKey });
  const section = { secret_key: stripe.secretKey, webhook_secret: stripe.webhookSecret, api_base: stripe.url, return_urls: ['https://shop.example.com/account'] };
  const given = yaml?.['stripe'];
  const house = await openHouse(t, { credit: '0', books: 'cli', ...rest, yaml: { ...yaml, stripe: { ...section, ...(typeof given === 'object' ? given : {}) } } });
  const recharge = async (id: string): Promise<Recharge> => {
    const found = await house.ledger.findRecharge(id);
    if (found === undefined) throw new Error(`no recharge ${id}`);
    return found;
  };
  const ask: Shop['ask'] = (body, headers = {}) => fetch(`${house.url}/v1/user/credits`, {
    method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body),
  });
  const open: Shop['open'] = async (amount = 10) => {
    const response = await ask({ amount, success_url: 'http://localhost:3000/ok', cancel_url: 'http://localhost:3000/no' });
    const body: unknown = await response.json();
    const id = typeof body === 'object' && body !== null && 'id' in body ? String(body.id) : '';
    if (response.status !== 201) throw new Error(`no recharge: ${response.status} ${JSON.stringify(body)}`);
    return recharge(id);
  };
  const deliver: Shop['deliver'] = async (event, how) => {
    const response = await stripe.deliver(house.url, event, how);
    await response.arrayBuffer();
    return response.status;
  };
  return {
    house,
    stripe,
    ask,
    open,
    recharge,
    deliver,
    paid: async (amount) => {
      const { id, session } = await open(amount);
      const { completed } = stripe.pay(session);
      const status = await deliver(completed);
      if (status !== 200) throw new Error(`not landed: ${status}`);
      return { ...(await recharge(id)), completed };
    },
    audit: async () => (await house.ledger.audit()).findings,
    account: async () => {
      const found = await house.ledger.findAccount(house.accountId);
      if (found === undefined) throw new Error('no account');
      return found;
    },
  };
}
