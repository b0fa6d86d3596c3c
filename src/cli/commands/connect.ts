import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';
import { neededModel } from '../needed.ts';
import { printableLines } from '../printable.ts';

export const TOOLS = ['codex', 'claude', 'cline', 'continue', 'openwebui', 'librechat', 'aider', 'langchain', 'ai-sdk', 'env'] as const;

export const CONNECT: Verb = {
  usage: 'connect <tool>',
  about: `the settings with which a tool uses this gateway: ${TOOLS.join(', ')}`,
  brief: 'the settings with which a tool uses this gateway',
  options: [
    { flags: '--model <id>', about: 'the model the tool asks for (default deepseek-chat)' },
    { flags: '--url <url>', about: 'where the tool reaches the daemon (default: the running daemon, else server.public_url)' },
  ],
  examples: ['findtoken connect continue', 'findtoken connect aider --model deepseek-coder', 'findtoken connect openwebui --url https://llm.example.com'],
  run: connect,
};

async function connect(call: Call): Promise<void> {
  const { context, given } = call;
  const { RECIPES } = await import('../connect/tools.ts');
  const tool = argument(call, 0);
  const recipe = RECIPES.find((one) => one.tool === tool);
  if (recipe === undefined) throw wrongUsage(`there are no settings for ${JSON.stringify(tool)}; there are for ${TOOLS.join(', ')}. For others: \`findtoken connect env\`.`);
  const { catalog, server } = await context.settings();
  const wished = given.text('model');
  const model = wished === undefined ? (catalog.models.get('deepseek-chat') ?? [...catalog.models.values()][0]) : await neededModel(catalog, wished);
  const origin = readOrigin(given.text('url') ?? (await daemonUrl(call)) ?? server.publicUrl);
  const target = { origin, model: model?.id ?? 'deepseek-chat', contextWindow: model?.contextWindow ?? 65_536, maxOutput: model?.maxOutput ?? 8_192, tools: model?.capabilities.includes('tools') ?? false };
  const settings = recipe.settings(target);
  const document = { object: 'connection', tool, place: recipe.place, base_url: `${origin}/v1`, model: target.model, settings };
  context.show(document, () => printableLines(settings));
  if (context.json) return;
  const { note } = context.terminal;
  note(`For ${recipe.about}: ${recipe.place}.`);
  note('FINDTOKEN_API_KEY is a key of yours: `findtoken keys create --name NAME` makes one.');
}

async function daemonUrl({ context }: Call): Promise<string | undefined> {
  const { readNews } = await import('../daemon-news.ts');
  return context.readOrNone(async (books) => (books === undefined ? undefined : (await readNews(books.ledger, books.nowMs()))?.state.url));
}

function readOrigin(written: string): string {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw wrongUsage(`--url is an address such as http://127.0.0.1:8787, not ${JSON.stringify(written)}.`);
  return `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}`;
}
