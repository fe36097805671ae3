// Where a secret of a KV engine lives: asks the server for the mount of a path and its version, and makes the API's path of it.
import { numberOf } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { AnswerError, CliError, failed } from '../errors.ts'
import { str } from '../flags.ts'
import { joinPath, sanitizePath } from '../go.ts'
import { secretOf } from '../secret.ts'

/** A secret's place. `partial` is the path as given, below its mount's full name. */
export interface KvPlace {
  readonly mount: string
  readonly v2: boolean
  readonly partial: string
}

/** The flag that names the mount apart from the secret. */
export const mountFlag = {
  mount: str('Path of the KV engine; the argument is then the path of the secret below it.'),
}

interface Mount {
  readonly path: string
  readonly v2: boolean
}

async function mountOf(client: Client, path: string): Promise<Mount> {
  try {
    const answer = await client.send({ method: 'GET', path: `sys/internal/ui/mounts/${path}`, quiet: true })
    const data = secretOf(answer.body)?.data
    const options = data?.['options'] as Record<string, unknown> | null | undefined
    const version = options?.['version']
    const mount = data?.['path']
    return { path: typeof mount === 'string' ? mount : '', v2: version === '2' || numberOf(version) === 2 }
  } catch (error) {
    if (error instanceof AnswerError && error.status === 404) return { path: '', v2: false }
    if (error instanceof AnswerError && error.status === 403)
      throw new CliError(
        2,
        `Error asking for the version of the KV engine at ${path}: ${error.message}`,
        'The token needs some access to that path. For version 2 a policy names "MOUNT/data/PATH" and "MOUNT/metadata/PATH", not "MOUNT/PATH".',
      )
    throw failed('', error)
  }
}

/** Finds the place of a secret: with -mount the argument is below that mount, otherwise it begins with the mount's path. */
export async function findPlace(client: Client, mount: string, argument: string): Promise<KvPlace> {
  const given = sanitizePath(argument)
  if (mount === '') {
    const found = await mountOf(client, given)
    return { mount: found.path, v2: found.v2, partial: given }
  }
  const named = sanitizePath(mount)
  const found = await mountOf(client, named)
  const path = found.path || named
  return { mount: path, v2: found.v2, partial: joinPath(path, given) }
}

/** Puts the API's part (data, metadata, delete …) between the mount and the rest; version 1 has no such part. */
export function apiPath(place: KvPlace, part: string): string {
  if (!place.v2) return place.partial
  const { partial } = place
  let { mount } = place
  if (partial === mount || partial === mount.replace(/\/$/, '')) return joinPath(mount, part)
  let rest = partial.startsWith(mount) ? partial.slice(mount.length) : partial
  // The server names the mount with its namespace; the path given may not: drop leading parts until they meet.
  while (rest === partial) {
    const slash = mount.indexOf('/')
    const tail = slash < 0 ? '' : mount.slice(slash + 1)
    if (tail === '') break
    mount = tail.replace(/\/$/, '')
    if (rest.startsWith(mount)) rest = rest.slice(mount.length)
  }
  return joinPath(mount, part, rest)
}
