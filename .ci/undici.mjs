// What of undici the program is given: the pool of connections to one origin, and what makes them.
// The whole of it holds another fetch, web sockets, caches and mocks, whose loading costs the daemon's start as much as our own code.
import { dirname } from 'node:path';

const ENTRY = "module.exports = { Pool: require('undici/lib/dispatcher/pool.js'), buildConnector: require('undici/lib/core/connect.js') };";
/** HTTP/2 is off, and nothing but strings and buffers is sent: what serves the rest says so where it would be used. */
const UNUSED = /(^|\/)(client-h2|web\/fetch\/body)\.js$/;

/** An esbuild plugin: `undici` becomes these two, wherever it is imported. */
export function partOfUndici(root) {
  return {
    name: 'part-of-undici',
    setup(bundle) {
      bundle.onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'part-of-undici' }));
      bundle.onLoad({ filter: /.*/, namespace: 'part-of-undici' }, () => ({ contents: ENTRY, resolveDir: root }));
      bundle.onResolve({ filter: UNUSED }, ({ path, importer }) => (/\/undici\/lib\//.test(`${dirname(importer)}/`) ? { path, namespace: 'unused' } : undefined));
      bundle.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({ contents: `module.exports = () => { throw new Error('${path} of undici is not part of this program'); };` }));
    },
  };
}
