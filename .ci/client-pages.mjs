// Writes docs/clients anew: npm run docs:clients.
import { writeFileSync } from 'node:fs';
import { clientPages } from '../test/support/client-pages.ts';

for (const [name, text] of clientPages()) writeFileSync(new URL(`../docs/clients/${name}`, import.meta.url), text);
