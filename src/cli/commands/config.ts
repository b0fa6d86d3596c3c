import type { SettingOrigin } from '../../settings/index.ts';
import type { Call, Noun } from '../command.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

/** Where there is little room a path under the home stands with its ~, and of a place in the file its line alone. */
function columnsFor(home: string): readonly Column<SettingOrigin>[] {
  const short = (value: string): string => (home.length > 1 ? value.replaceAll(`${home}/`, '~/') : value);
  return [
    { title: 'setting', text: ({ path }) => path },
    { title: 'value', text: ({ value }) => value, yieldsTo: 24, brief: { text: ({ value }) => short(value), least: 0 } },
    { title: 'origin', text: ({ origin }) => origin, dropAt: 1, brief: { text: ({ origin }) => origin.replace(/^.*:(\d+):\d+$/, 'line $1'), least: 0 } },
  ];
}

export const CONFIG: Noun = {
  name: 'config',
  about: 'the settings in force',
  verbs: [
    { usage: 'check', about: 'read the settings and say what is wrong with them', examples: ['findtoken config check --config findtoken.yaml'], run: check },
    { usage: 'show', about: 'every setting, and what the file lays over the built-in models and providers: its value (secrets masked) and where it comes from', examples: ['findtoken config show'], run: show },
  ],
};

async function check({ context }: Call): Promise<void> {
  const settings = await context.settings();
  const { checkSettings } = await import('../../settings/index.ts');
  checkSettings(settings);
  const file = settings.file ?? null;
  context.show({ object: 'config_check', ok: true, file }, () => (file === null ? 'ok: no findtoken.yaml; the defaults serve' : `ok: ${file}`));
}

async function show({ context }: Call): Promise<void> {
  const settings = await context.settings();
  const [{ checkSettings, maskedSettings }, { listView }] = await Promise.all([import('../../settings/index.ts'), import('../../accounts/index.ts')]);
  // In a catalogue that is wrong anything may stand anywhere, a secret too.
  if (settings.hasOwnCatalog === true) checkSettings(settings);
  const rows = maskedSettings(settings);
  context.show(listView(rows.map(({ path, plain, origin }) => ({ path, value: plain, origin })), undefined), () => renderTable(rows, columnsFor(context.home), context.terminal));
}
