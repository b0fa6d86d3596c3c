import { openLedger, type Ledger } from '../../src/ledger/index.ts';
import { landMessage } from '../../src/accounts/index.ts';
import { readWebhook } from '../../src/payments/index.ts';

/**
 * A handler of one webhook event that dies by SIGKILL: before the books are asked, while they write, or after they have and before
 * anything is answered. What it is given comes as JSON: the database, the event's bytes and header, the secret, and when to die.
 */
interface Wish {
  readonly path: string;
  readonly body: string;
  readonly signature: string;
  readonly secret: string;
  readonly die: 'before' | 'during' | 'after';
}

const wish: Wish = JSON.parse(process.argv[2] ?? '{}');
const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('dead');
};
const ledger = await openLedger({ path: wish.path, as: 'daemon' });
const mortal: Ledger = {
  ...ledger,
  async landRecharge(landing) {
    if (wish.die === 'before') die();
    const written = ledger.landRecharge(landing);
    if (wish.die === 'during') {
      // The worker has the write; whether it committed before the signal is nobody's to know.
      setImmediate(die);
    }
    const landed = await written;
    if (wish.die === 'after') die();
    return landed;
  },
};
const nowMs = Date.now();
const event = await readWebhook({ body: Buffer.from(wish.body), signature: wish.signature, secret: wish.secret, isLive: false, nowMs });
await landMessage({ ledger: mortal, nowMs: () => nowMs }, event.message, event.eventId);
await ledger.close();
