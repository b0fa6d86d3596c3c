import { formatUsdExact, usdNumber } from '../../money/index.ts';
import { readAmount } from '../amount.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import { dollars } from '../format.ts';
import { renderRecord } from '../table.ts';

export const CREDITS: Noun = {
  name: 'credits',
  about: 'credits given and taken back by hand',
  verbs: [
    {
      usage: 'grant <amount>',
      about: 'give credits in US dollars, without a fee; a negative amount takes back (write it after --)',
      options: [{ flags: '--note <text>', about: 'why, for the books', required: true }],
      examples: ['findtoken credits grant 20 --note "welcome credit"', 'findtoken credits grant --note "granted twice" -- -5'],
      run: grant,
    },
  ],
};

async function grant(call: Call): Promise<void> {
  const { context, given } = call;
  const amount = readAmount(argument(call, 0), 'the amount', 'negative');
  const { grantCredits, resolveAccount } = await import('../../accounts/index.ts');
  const { account, balance } = await context.write(async (books) => {
    const found = await resolveAccount(books, context.account);
    return { account: found, ...(await grantCredits(books, { accountId: found.id, amount, note: given.needed('note') })) };
  });
  const document = { object: 'grant', account_id: account.id, amount: usdNumber(amount), amount_exact: formatUsdExact(amount), balance: usdNumber(balance), balance_exact: formatUsdExact(balance), currency: 'usd' };
  context.show(document, () =>
    renderRecord([['account', account.email], ['granted', dollars(amount)], ['balance', dollars(balance)]], context.terminal),
  );
}
