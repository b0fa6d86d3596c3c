// The licences of everything that a build carries: whoever gets the program gets them with it.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LICENCE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;
const RULE = `${'-'.repeat(80)}\n`;

/**
 * The folders of all packages out of which esbuild took a file.
 * @param metafiles what esbuild tells of its builds, with paths relative to the checkout
 */
export function packagesOf(metafiles) {
  const folders = metafiles.flatMap(({ inputs }) => Object.keys(inputs).flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []));
  return [...new Set(folders)].sort();
}

/**
 * One text with each package's name, version, licence and the licence's own words.
 * @throws Error where a package tells no licence at all: then nobody may be given it.
 */
export async function noticesOf(root, folders, further = []) {
  const packages = await Promise.all(folders.map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
    const files = (await readdir(join(root, folder))).filter((file) => LICENCE.test(file)).sort();
    if (license === undefined && files.length === 0) throw new Error(`${name} ${version} tells no licence`);
    const texts = await Promise.all(files.map((file) => readFile(join(root, folder, file), 'utf8')));
    return { title: `${name} ${version} (${license})`, text: texts.length === 0 ? `Its package names the licence ${license} and holds no text of it.` : texts.join('\n') };
  }));
  const parts = [...packages, ...further].map(({ title, text }) => `${RULE}${title}\n${RULE}\n${text.trim()}\n`);
  return `findtoken carries parts of the following works, each under its own licence.\n\n${parts.join('\n')}`;
}
