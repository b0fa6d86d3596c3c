import { parseUsd } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import { dollars } from '../format.ts';
import { renderRecord } from '../table.ts';

export const BALANCE: Verb = {
  usage: 'balance',
  about: 'the credits of an account, and its BYOK requests of this month',
  brief: "an account's credits, and its BYOK requests this month",
  examples: ['findtoken balance', 'findtoken balance --account ann@example.com --json'],
  run: balance,
};

async function balance({ context }: Call): Promise<void> {
  const { balanceOf, resolveAccount } = await import('../../accounts/index.ts');
  const view = await context.read(async (books) => {
    const { id } = await resolveAccount(books, context.account);
    return balanceOf(books, id, { byokFreeRequests: books.settings.billing.byokFreeRequests });
  });
  context.show(view, () =>
    renderRecord(
      [
        ['balance', dollars(parseUsd(view.balance))],
        ['held', dollars(parseUsd(view.held))],
        ['available', dollars(parseUsd(view.available))],
        ['byok', `${view.byok.requests} of ${view.byok.free_requests} free requests in ${view.byok.month}`],
      ],
      context.terminal,
    ),
  );
}
