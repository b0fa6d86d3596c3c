import type { AuditFinding, AuditReport } from '../../ledger/index.ts';
import type { Call, Verb } from '../command.ts';
import { EXIT } from '../failure.ts';
import { counted } from '../format.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const COLUMNS: readonly Column<AuditFinding>[] = [
  { title: 'rule', text: ({ rule }) => rule },
  { title: 'subject', text: ({ subject }) => subject },
  { title: 'expected', text: ({ expected }) => expected },
  { title: 'found', text: ({ found }) => found },
];

export const AUDIT: Verb = {
  usage: 'audit',
  about: 'recompute every charge and every balance; exit 1 where the books differ from themselves',
  brief: 'recompute every charge and every balance',
  examples: ['findtoken audit', 'findtoken audit --json'],
  run: audit,
};

async function audit({ context }: Call): Promise<void> {
  // Reading years of books takes minutes in one go, in which no handler of ours would run: Ctrl-C ends the process itself.
  context.leaveSignals();
  const report = await context.read(({ ledger }) => ledger.audit());
  const sound = report.findings.length === 0;
  const { findings, accounts, transfers, requests, openHolds } = report;
  const document = { object: 'audit', ok: sound, accounts, transfers, requests, open_holds: openHolds, findings };
  context.show(document, () => (sound ? `sound: ${summaryOf(report)}` : renderTable(findings, COLUMNS, context.terminal)));
  if (sound) return;
  context.terminal.note(`findtoken: ${counted(findings.length, 'difference')} in ${summaryOf(report)}; restore a backup made before, or correct by \`credits grant\` once the cause is known.`);
  process.exitCode = EXIT.failed;
}

function summaryOf({ accounts, transfers, requests, openHolds }: AuditReport): string {
  return [counted(accounts, 'account'), counted(transfers, 'transfer'), counted(requests, 'request'), counted(openHolds, 'open hold')].join(', ');
}
