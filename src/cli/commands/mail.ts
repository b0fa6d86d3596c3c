import type { MailView } from '../../accounts/index.ts';
import type { Call, Noun } from '../command.ts';
import { shortTime, timeText } from '../format.ts';
import { AFTER, afterOf, noteMore } from '../paging.ts';
import { printable } from '../printable.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const LIMIT = { usual: 20, most: 1_000 };

const COLUMNS: readonly Column<MailView>[] = [
  { title: 'created', text: ({ created }) => timeText(created), dropAt: 3, brief: { text: ({ created }) => shortTime(created), least: 15 } },
  { title: 'state', text: ({ state }) => state },
  { title: 'to', text: ({ recipient }) => recipient, yieldsTo: 22 },
  { title: 'subject', text: ({ subject }) => subject, dropAt: 1 },
  { title: 'sent', text: ({ sent }) => timeText(sent), dropAt: 4, brief: { text: ({ sent }) => (sent === null ? '' : shortTime(sent)), least: 0 } },
  { title: 'attempts', text: ({ attempts }) => String(attempts), right: true, dropAt: 6 },
  { title: 'problem', text: ({ problem }) => problem ?? '', dropAt: 5 },
  { title: 'id', text: ({ id }) => id, dropAt: 7 },
];

export const MAIL: Noun = {
  name: 'mail',
  about: 'mails to account holders',
  verbs: [
    {
      usage: 'list',
      about: 'what was sent, logged or waits, newest first',
      options: [
        { flags: '--limit <n>', about: `at most this many (default ${LIMIT.usual})` },
        AFTER,
        { flags: '--text', about: 'each mail whole; without an SMTP server this is where it is read' },
      ],
      examples: ['findtoken mail list', 'findtoken mail list --text --limit 1'],
      run: list,
    },
  ],
};

async function list({ context, given }: Call): Promise<void> {
  const limit = given.whole('limit', { least: 1, most: LIMIT.most }) ?? LIMIT.usual;
  const { listView, mailView } = await import('../../accounts/index.ts');
  const { rows, next } = await context.read(({ ledger }) => ledger.listMail({ limit, ...afterOf(given) }));
  const views = rows.map(mailView);
  if (views.length === 0) context.terminal.note('No mails yet.');
  context.show(listView(views.map(withoutToken), next), () => (given.flag('text') ? views.map(whole).join('\n\n') : renderTable(views, COLUMNS, context.terminal)));
  noteMore(context, next);
}

/** A document never bears what opens something: the link's token is left out. `--text` shows it. */
function withoutToken(mail: MailView): MailView {
  return { ...mail, text: mail.text?.replace(/([?&]token=)[^\s&]+/g, '$1…') ?? null };
}

/** One mail as one would read it, each line made printable by itself. */
function whole(mail: MailView): string {
  const head = [`${timeText(mail.created)} ${mail.state}`, `To: ${mail.recipient}`, `Subject: ${mail.subject}`];
  const text = mail.text ?? 'The text is erased: it bore a link that was sent or used.';
  return [...head, '', ...text.trimEnd().split('\n')].map(printable).join('\n');
}
