import t from 'tap';
import { tellStories } from '../support/stories.ts';

/** What happens to an account's money, told line by line; each story is told to both forms of the books. */
const STORIES: Readonly<Record<string, string>> = {
  'a hold narrows what is spendable; settling gives the rest back, once': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 60                -> ok
    spendable ann                 -> 40
    hold ann h2 41                -> insufficient_credits
    settle h1 20+5                -> paid 25
    settle h1 20+5                -> already 25
    release h1                    -> already 25
    spendable ann                 -> 75
    held ann                      -> 0
    wallet provider_cost          -> 20
    wallet fees                   -> 5
    hold ann h2 75                -> ok`,

  'the same hold twice is one hold; a refused one may be tried again with less': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 60                -> ok
    hold ann h1 60                -> ok
    hold ann h2 60                -> insufficient_credits
    hold ann h2 40                -> ok
    spendable ann                 -> 0
    settle h1 1+0                 -> paid 1
    hold ann h1 60                -> ok
    held ann                      -> 40
    settle h2 40+0                -> paid 40
    balance ann                   -> 59`,

  'a released hold costs nothing, and cannot be settled afterwards': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 100               -> ok
    release h1                    -> released
    release h1                    -> already 0
    settle h1 20+5                -> already 0
    status h1                     -> providers_unavailable
    spendable ann                 -> 100
    wallet provider_cost          -> 0`,

  'a charge above its hold is paid from the balance': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 10                -> ok
    settle h1 80+15               -> paid 95
    spendable ann                 -> 5`,

  'a charge above hold and balance stops there; the operator bears the rest, our fee first': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 10                -> ok
    settle h1 98+7                -> paid 100 short 5
    balance ann                   -> 0
    wallet fees                   -> 2
    # the operator's five make the provider's cost up to what was charged, less the fee that came in
    wallet provider_cost          -> 103
    wallet shortfall              -> -5`,

  'a charge that eats the whole fee and part of the provider cost': `
    account ann                   -> active
    credit ann 50                 -> 50
    hold ann h1 50                -> ok
    settle h1 90+10               -> paid 50 short 50
    wallet fees                   -> 0
    wallet provider_cost          -> 100`,

  'an overrun never touches what another request holds': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 10                -> ok
    hold ann h2 70                -> ok
    settle h1 60+5                -> paid 30 short 35
    spendable ann                 -> 0
    settle h2 65+5                -> paid 70
    balance ann                   -> 0`,

  'a settlement of nothing moves nothing': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 10                -> ok
    settle h1 0+0                 -> paid 0
    wallet provider_cost          -> 0
    wallet fees                   -> 0
    spendable ann                 -> 100`,

  'BYOK is free up to the border, and works without any credits': `
    account ann                   -> active
    byok ann b1 60 of 2           -> free
    byok ann b2 60 of 2           -> free
    counted ann                   -> 2
    byok ann b3 60 of 2           -> insufficient_credits
    counted ann                   -> 2
    credit ann 60                 -> 60
    byok ann b3 60 of 2           -> paid
    byok ann b3 60 of 2           -> paid
    counted ann                   -> 3
    held ann                      -> 60
    settle b3 0+7                 -> paid 7
    settle b1 0+0                 -> paid 0
    settle b2 0+9                 -> paid 0
    wallet fees                   -> 7
    wallet provider_cost          -> 0`,

  'a free BYOK request stays free, however long it takes and whatever becomes of the process': `
    account ann                   -> active
    credit ann 100                -> 100
    byok ann b1 60 of 2           -> free
    byok ann b2 60 of 2           -> free
    progress b1 0+3               -> noted
    progress b2 0+3               -> noted
    settle b1 0+9                 -> paid 0
    restart                       -> ok
    recover                       -> 0 released 1 settled
    cost b2                       -> 0
    counted ann                   -> 2
    balance ann                   -> 100`,

  'a BYOK request that failed is given back to the month': `
    account ann                   -> active
    byok ann b1 60 of 1           -> free
    byok ann b2 60 of 1           -> insufficient_credits
    release b1                    -> released
    release b1                    -> already 0
    counted ann                   -> 0
    byok ann b2 60 of 1           -> free
    byok ann b1 60 of 1           -> free
    counted ann                   -> 1`,

  'a grant counts once, and takes back no more than is there': `
    account ann                   -> active
    credit ann 100 g1             -> 100
    credit ann 100 g1             -> already 100
    hold ann h1 30                -> ok
    credit ann -71 g2             -> insufficient_credits
    credit ann -70 g2             -> 30
    credit ann -70 g2             -> already 30
    credit bob 5                  -> no_account
    wallet grants                 -> -30
    settle h1 25+5                -> paid 30`,

  'only an active account is served; what was held before still settles': `
    account eve pending           -> pending
    credit eve 100                -> 100
    hold eve h0 1                 -> account_inactive
    set eve active                -> ok
    hold eve h1 60                -> ok
    set eve deactivated           -> ok
    hold eve h2 1                 -> account_inactive
    byok eve b1 0 of 5            -> account_inactive
    counted eve                   -> 0
    settle h1 20+5                -> paid 25
    spendable eve                 -> 75
    set nobody active             -> no_account`,

  'a dead process: what had progressed is settled at that, the rest is released': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 30                -> ok
    hold ann h2 30                -> ok
    hold ann h3 30                -> ok
    byok ann b1 9 of 5            -> free
    progress h1 10+1              -> noted
    progress h1 15+2              -> noted
    settle h3 20+5                -> paid 25
    progress h3 99+9              -> noted
    recover                       -> 0 released 0 settled
    restart                       -> ok
    hold ann h4 5                 -> ok
    recover                       -> 2 released 1 settled
    recover                       -> 0 released 0 settled
    status h1                     -> recovered
    cost h1                       -> 17
    status h2                     -> recovered
    cost h2                       -> 0
    cost h3                       -> 25
    counted ann                   -> 0
    status h4                     -> open
    held ann                      -> 5
    settle h1 25+5                -> already 17
    balance ann                   -> 58`,

  'a long answer: what it has come to is noted on the way, and its end alone is charged': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 30                -> ok
    progress h1 10+1              -> noted
    progress h1 18+4              -> noted
    balance ann                   -> 100
    held ann                      -> 30
    settle h1 20+5                -> paid 25
    settle h1 20+5                -> already 25
    hold ann h2 30                -> ok
    progress h2 10+1              -> noted
    release h2                    -> released
    spendable ann                 -> 75
    wallet provider_cost          -> 20
    wallet fees                   -> 5`,

  'one of several workers dies: what it had open ends, and what the others serve goes on': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 10 by one         -> ok
    hold ann h2 10 by one         -> ok
    hold ann h3 10 by two         -> ok
    hold ann h4 10                -> ok
    progress h1 5+1               -> noted
    progress h3 5+1               -> noted
    recover one                   -> 1 released 1 settled
    recover one                   -> 0 released 0 settled
    cost h1                       -> 6
    status h3                     -> open
    status h4                     -> open
    held ann                      -> 20
    settle h3 7+1                 -> paid 8
    settle h4 7+1                 -> paid 8
    balance ann                   -> 78`,

  'a recovered charge obeys the rules of every other': `
    account ann                   -> active
    credit ann 100                -> 100
    hold ann h1 30                -> ok
    hold ann h2 70                -> ok
    progress h1 50+5              -> noted
    restart                       -> ok
    recover                       -> 1 released 1 settled
    cost h1                       -> 30
    wallet shortfall              -> -25`,
};

t.test('told to the books in one thread', (t) => tellStories(t, `${t.testdir()}/books.db`, 'cli', STORIES));
t.test('told to the books behind the writing worker', (t) => tellStories(t, `${t.testdir()}/books.db`, 'daemon', STORIES));
