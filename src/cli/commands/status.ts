// status and version; and how every command prints the seal status of a server.
import type { JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, command } from '../command.ts'
import { AnswerError, orFail } from '../errors.ts'
import { struct, table } from '../print.ts'
import type { Ui } from '../render.ts'
import { intOf, payloadOf, textOf } from '../secret.ts'
import { versionLine } from '../version.ts'

async function leaderOf(client: Client, code: number): Promise<JsonObject> {
  try {
    return payloadOf((await client.send({ method: 'GET', path: 'sys/leader', root: true, quiet: true })).body)
  } catch (error) {
    // A sealed server does not say who leads; that it has no answer means several nodes.
    if (error instanceof AnswerError && error.status === 503) return { ha_enabled: true }
    return orFail('Error checking leader status', Promise.reject(error), code)
  }
}

function haRows(status: JsonObject, leader: JsonObject): string[][] {
  if (leader['ha_enabled'] !== true) return [['HA Enabled', 'false']]
  const rows = [['HA Enabled', 'true']]
  if (status['sealed'] === true) return rows
  const self = leader['is_self'] === true
  rows.push(['HA Cluster', textOf(leader, 'leader_cluster_address')], ['HA Mode', self ? 'active' : 'standby'])
  const since = textOf(leader, 'active_time')
  if (self && since !== '' && !since.startsWith('0001-')) rows.push(['Active Since', since])
  if (!self && textOf(leader, 'leader_address') !== '')
    rows.push(['Active Node Address', textOf(leader, 'leader_address')])
  return rows
}

/** Rows that every seal status has. */
export function sealRows(status: JsonObject): string[][] {
  const recovery = status['recovery_seal'] === true
  const rows = [['Seal Type', textOf(status, 'type')]]
  if (recovery) rows.push(['Recovery Seal Type', textOf(status, 'recovery_seal_type')])
  rows.push(
    ['Initialized', String(status['initialized'] === true)],
    ['Sealed', String(status['sealed'] === true)],
    [`Total ${recovery ? 'Recovery ' : ''}Shares`, String(intOf(status, 'n'))],
    ['Threshold', String(intOf(status, 't'))],
  )
  if (status['sealed'] === true)
    rows.push(
      ['Unseal Progress', `${intOf(status, 'progress')}/${intOf(status, 't')}`],
      ['Unseal Nonce', textOf(status, 'nonce')],
    )
  return rows
}

/** Asks who leads and prints the seal status of a server with it. */
export async function showSealStatus(ui: Ui, client: Client, status: JsonObject, code = 2): Promise<void> {
  const leader = await leaderOf(client, code)
  if (ui.format !== 'table')
    return ui.data(
      struct({
        type: textOf(status, 'type'),
        initialized: status['initialized'] === true,
        sealed: status['sealed'] === true,
        t: intOf(status, 't'),
        n: intOf(status, 'n'),
        progress: intOf(status, 'progress'),
        nonce: textOf(status, 'nonce'),
        version: textOf(status, 'version'),
        coffer_version: status['coffer_version'],
        commit_date: status['commit_date'],
        migration: status['migration'] === true,
        cluster_name: status['cluster_name'],
        cluster_id: status['cluster_id'],
        recovery_seal: status['recovery_seal'] === true,
        recovery_seal_type: status['recovery_seal_type'],
        storage_type: status['storage_type'],
        recovery_mode: status['recovery_mode'],
        warnings: status['warnings'],
        build_date: textOf(status, 'build_date'),
        ha_enabled: leader['ha_enabled'] === true,
        is_self: leader['is_self'] === true ? true : undefined,
        active_time: leader['active_time'],
        leader_address: leader['leader_address'],
        leader_cluster_address: leader['leader_cluster_address'],
      }),
    )
  const rows = [['Key', 'Value'], ...sealRows(status)]
  const add = (title: string, value: string): void => {
    if (value !== '') rows.push([title, value])
  }
  if (status['recovery_mode'] === true) add('Recovery Mode', 'true')
  if (status['migration'] === true) add('Seal Migration in Progress', 'true')
  add('Version', textOf(status, 'version'))
  add('Coffer Version', textOf(status, 'coffer_version'))
  add('Commit Date', textOf(status, 'commit_date'))
  add('Storage Type', textOf(status, 'storage_type'))
  add('Cluster Name', textOf(status, 'cluster_name'))
  add('Cluster ID', textOf(status, 'cluster_id'))
  ui.out(table([...rows, ...haRows(status, leader)]))
}

const status = command({
  words: ['status'],
  synopsis: 'Print whether the server is sealed',
  help: `Prints seal and cluster status. Exit codes: 0 unsealed, 2 sealed or not initialized, 1 error.

      $ coffer status`,
  async run(context) {
    const client = await context.client()
    const asked = client.send({ method: 'GET', path: 'sys/seal-status', root: true })
    const answer = payloadOf((await orFail('Error checking seal status', asked, 1)).body)
    await showSealStatus(context.ui, client, answer, 1)
    return answer['sealed'] === true ? 2 : 0
  },
})

const version = command({
  words: ['version'],
  synopsis: 'Print the version of this command',
  help: 'Prints the version of this command; what the server runs is in "coffer status".',
  online: false,
  args: { usage: '', min: 0, max: Number.POSITIVE_INFINITY },
  async run({ ui }) {
    ui.out(versionLine)
    return 0
  },
})

/** status and version. */
export const statusCommands: readonly Command[] = [status, version]
