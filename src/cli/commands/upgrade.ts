// operator upgrade status and finalize: the format of the store while versions change.
import { type Command, command } from '../command.ts'
import { columns } from '../print.ts'
import { call, run, success } from './shared.ts'

const status = command({
  words: ['operator', 'upgrade', 'status'],
  synopsis: 'Tell which storage format is in force',
  async run(context) {
    const facts = await call(await context.client(), 'Error reading the upgrade status', {
      method: 'GET',
      path: 'sys/x/upgrade',
    })
    if (context.ui.format === 'table')
      context.ui.out(columns(Object.entries(facts).map(([name, fact]) => [name, String(fact)])))
    else context.ui.data(facts)
    return 0
  },
})

const finalize = command({
  words: ['operator', 'upgrade', 'finalize'],
  synopsis: 'Finalize the newest storage format',
  help: `Ends an upgrade: from now on all nodes may write the newest storage format, and older versions can no longer serve the store.

    $ coffer operator upgrade finalize

  It is refused while a node with an older version is seen.`,
  async run(context) {
    await run(await context.client(), 'Error finalizing the upgrade', {
      method: 'POST',
      path: 'sys/x/upgrade/finalize',
    })
    return success(context, 'Success! The newest storage format is finalized')
  },
})

export const upgradeCommands: readonly Command[] = [status, finalize]
