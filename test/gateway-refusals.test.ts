import t from 'tap';
import { openHouse } from './support/house.ts';

t.test('where no route fits a good key is told its balance, and any other changes nothing', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli' });
  const cases: readonly (readonly [method: string, path: string, status: number])[] = [
    ['GET', '/v1/nothing', 404], ['GET', '/v1', 404], ['POST', '/v1/embeddings', 404], ['POST', '/v1/completions', 404],
    ['GET', '/v1/chat/completions', 405], ['PUT', '/v1/models', 405], ['HEAD', '/v1/nothing', 404],
  ];
  const keys: readonly (readonly [authorization: string | undefined, balance: string | null])[] = [[`Bearer ${house.key}`, '10.00'], [undefined, null], [`Bearer sk-ft_${'0'.repeat(64)}`, null], ['Bearer nonsense', null]];
  for (const [method, path, status] of cases) {
    for (const [authorization, balance] of keys) {
      const response = await fetch(`${house.url}${path}`, { method, headers: authorization === undefined ? {} : { authorization } });
      t.equal(response.status, status, `${method} ${path}`);
      t.equal(response.headers.get('x-findtoken-balance'), balance, `${method} ${path} ${authorization?.slice(0, 14)}`);
      t.match([response.headers.get('x-findtoken-mode'), response.headers.get('x-findtoken-cost')], ['standard', '0.00']);
    }
  }
  t.equal((await house.get('/nothing')).headers.get('x-findtoken-balance'), null, 'under /v1 alone');
  const findKey = house.ledger.findKey.bind(house.ledger);
  Object.assign(house.ledger, { findKey: async () => { throw new Error('the books are away'); } });
  t.equal((await house.get('/v1/nothing')).status, 404, 'the balance is no condition');
  Object.assign(house.ledger, { findKey });
  await house.ledger.setAccountStatus(house.accountId, 'deactivated', Date.now());
  const inactive = await house.get('/v1/nothing');
  t.match([inactive.status, inactive.headers.get('x-findtoken-balance')], [404, null], 'nor may whoever may not read it learn it');
});
