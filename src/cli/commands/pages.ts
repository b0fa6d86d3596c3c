import { argument } from '../command.ts';
import type { Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';
import type { Tree } from '../tree/tree.ts';
import { packageVersion } from '../version.ts';
import { TOOLS } from './connect.ts';

/** `completion` and `man` are made from the tree that they are part of. */
export function pageVerbs(tree: () => Tree, summary: string): readonly Verb[] {
  return [
    {
      usage: 'completion <shell>',
      about: 'print a completion script for bash, zsh or fish',
      examples: ['findtoken completion bash > ~/.local/share/bash-completion/completions/findtoken', 'findtoken completion fish > ~/.config/fish/completions/findtoken.fish'],
      async run(call) {
        const { completionScript, SHELLS } = await import('../tree/completion.ts');
        const written = argument(call, 0);
        const shell = SHELLS.find((one) => one === written);
        if (shell === undefined) throw wrongUsage(`the shell is ${SHELLS.join(', ')}, not ${JSON.stringify(written)}.`);
        const script = completionScript(shell, tree(), { tool: TOOLS, shell: SHELLS });
        call.context.show({ object: 'completion', shell, script }, () => script.trimEnd());
      },
    },
    {
      usage: 'man',
      about: 'print the manual page',
      examples: ['findtoken man | man -l -', 'findtoken man > ~/.local/share/man/man1/findtoken.1'],
      async run({ context }) {
        const { manPage } = await import('../tree/pages.ts');
        const page = manPage(tree(), { version: packageVersion(), summary, day: dayOfPrint(context.env, Date.now()) });
        context.show({ object: 'manual', roff: page }, () => page.trimEnd());
      },
    },
  ];
}

/** The day of the print in UTC. Packagers set SOURCE_DATE_EPOCH (seconds), so that two builds of one source are the same. */
function dayOfPrint(env: Readonly<Record<string, string | undefined>>, nowMs: number): string {
  const epoch = env['SOURCE_DATE_EPOCH'] ?? '';
  return new Date(/^\d{1,11}$/.test(epoch) ? Number(epoch) * 1000 : nowMs).toISOString().slice(0, 10);
}
