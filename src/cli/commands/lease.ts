// lease lookup, renew and revoke.
import { type Command, command, oneArg } from '../command.ts'
import { orFail, UsageError } from '../errors.ts'
import { bool, duration } from '../flags.ts'
import { run, showSecret, success } from './shared.ts'

const lookup = command({
  words: ['lease', 'lookup'],
  synopsis: 'Show a lease',
  help: '      $ coffer lease lookup database/creds/readonly/2f6a614c',
  args: oneArg('LEASE_ID'),
  field: true,
  async run(context) {
    const id = (context.args[0] ?? '').trim()
    const client = await context.client()
    const secret = await orFail(`error looking up lease id ${id}`, client.write('sys/leases/lookup', { lease_id: id }))
    return secret ? showSecret(context, secret) : 0
  },
})

const renew = command({
  words: ['lease', 'renew'],
  synopsis: 'Renew a lease',
  help: '      $ coffer lease renew -increment=1h database/creds/readonly/2f6a614c',
  args: oneArg('LEASE_ID'),
  flags: { increment: duration('How long it should last from now; the server may give less.', { aliases: ['i'] }) },
  field: true,
  async run(context) {
    const id = (context.args[0] ?? '').trim()
    const increment = Math.max(0, Math.floor(context.flags.increment / 1000))
    const client = await context.client()
    const secret = await orFail(`Error renewing ${id}`, client.write('sys/leases/renew', { lease_id: id, increment }))
    return secret ? showSecret(context, secret) : 0
  },
})

const revoke = command({
  words: ['lease', 'revoke'],
  synopsis: 'Revoke a lease, or all below a prefix',
  help: `      $ coffer lease revoke database/creds/readonly/2f6a614c
      $ coffer lease revoke -prefix database/creds`,
  args: oneArg('LEASE_ID'),
  flags: {
    prefix: bool('The argument is a prefix.'),
    force: bool('Forget the leases even when the engine cannot revoke them; only with -prefix.', { aliases: ['f'] }),
    sync: bool('Answer only when the revocation is done.'),
  },
  async run(context) {
    const { ui, flags } = context
    if (flags.force && !flags.prefix) throw new UsageError('Specifying -force requires also specifying -prefix')
    const id = (context.args[0] ?? '').trim().replace(/^\/+/, '')
    if (flags.force) ui.warn('Warning! What the engine made outside (users, keys) may stay behind.')
    const verb = flags.force ? 'revoke-force' : flags.prefix ? 'revoke-prefix' : 'revoke'
    await run(await context.client(), `Error revoking ${flags.prefix ? `leases with prefix ${id}` : `lease ${id}`}`, {
      method: 'PUT',
      path: `sys/leases/${verb}/${id}`,
      ...(!flags.force && { body: { sync: flags.sync } }),
    })
    if (flags.force) return success(context, `Success! Force revoked any leases with prefix: ${id}`)
    if (!flags.sync) return success(context, 'All revocation operations queued successfully!')
    return success(
      context,
      flags.prefix ? `Success! Revoked any leases with prefix: ${id}` : `Success! Revoked lease: ${id}`,
    )
  },
})

/** Commands for leases. */
export const leaseCommands: readonly Command[] = [lookup, renew, revoke]
