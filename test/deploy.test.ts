// The promises of the files under deploy/: nothing secret in them, no root, nothing writable that need not be, probes that mean what they should.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { coffer, newFolder, startDev } from './process.ts'

const deploy = path.resolve(import.meta.dirname, '../deploy')
const read = (name: string): string => readFileSync(path.join(deploy, name), 'utf8')
const files = readdirSync(deploy, { recursive: true, encoding: 'utf8' }).filter((name) =>
  statSync(path.join(deploy, name)).isFile(),
)
// biome-ignore lint/suspicious/noExplicitAny: tests look into manifests of any shape
type Loose = Record<string, any>
const manifest = (name: string): Loose => parse(read(`kubernetes/${name}`)) as Loose

test('no file holds a secret, and every YAML file parses', () => {
  for (const name of files) {
    const text = read(name)
    assert.doesNotMatch(
      text,
      /BEGIN [A-Z ]*PRIVATE KEY|hvs\.[A-Za-z0-9]{20}|[A-Za-z0-9+/]{43}=|password\s*[:=]\s*["']?[a-z0-9]{6,}["']?\s*$/im,
      name,
    )
    if (!/\.ya?ml$/.test(name)) continue
    for (const document of parseAllDocuments(text, { merge: true })) assert.deepEqual(document.errors, [], name)
  }
})

test('configurations are those that the server takes', () => {
  const folder = newFolder()
  for (const name of ['compose/coffer.hcl', 'kubernetes/coffer.hcl']) {
    // The files that secrets make are not here: only what is said is checked.
    const file = path.join(folder, 'coffer.hcl')
    writeFileSync(file, read(name))
    const { stdout, stderr } = spawnSync(coffer, ['operator', 'validate-config', file], { encoding: 'utf8' })
    const wrong = stderr
      .split('\n')
      .filter((line) => line.startsWith('error') && !/keeps data in SQLite only/.test(line))
    assert.deepEqual(wrong, [], stdout)
  }
})

describe('the image', () => {
  const text = read('Dockerfile')

  test('runs as nobody in particular, checks its health, and holds no tests', () => {
    assert.match(text, /^USER 8200:8200$/m)
    assert.match(text, /^HEALTHCHECK /m)
    assert.match(text, /^ENTRYPOINT \["\/opt\/coffer\/bin\/coffer"\]$/m)
    assert.match(text, /npm ci --omit=dev/)
    const [ignored] = read('Dockerfile.dockerignore').split('\n')
    assert.equal(ignored, '*', 'only what is named goes in')
    const root = path.resolve(deploy, '..')
    for (const [, from = ''] of text.matchAll(/^COPY (?!--from)(.*) \S+$/gm))
      for (const one of from.split(' ')) assert.ok(statSync(path.join(root, one)), one)
  })

  test('the health check tells a server that answers from one that does not', async () => {
    const server = await startDev()
    const check = (url: string) =>
      spawnSync(path.resolve(deploy, '../bin/runtime'), [path.join(deploy, 'healthcheck.mjs')], {
        env: { ...process.env, COFFER_HEALTH_URL: url },
      }).status
    try {
      assert.equal(check(`${server.url}/v1/sys/health`), 0)
      assert.equal(check(`${server.url}/v1/sys/health?activecode=503`), 1)
    } finally {
      await server.remove()
    }
    assert.equal(check(`${server.url}/v1/sys/health`), 1)
  })
})

test('compose: three hardened nodes, a standby, one way in', () => {
  const { services, volumes } = parse(read('compose/compose.yaml'), { merge: true }) as Loose
  for (const name of ['coffer1', 'coffer2', 'coffer3']) {
    const node = services[name]
    assert.equal(node.read_only, true)
    assert.deepEqual(node.cap_drop, ['ALL'])
    assert.equal(node.user, '8200:8200')
    assert.equal(node.ports, undefined)
    assert.deepEqual(node.security_opt, ['no-new-privileges:true'])
  }
  assert.deepEqual(services.balancer.ports, ['127.0.0.1:8200:8200'])
  for (const [name, service] of Object.entries(services as Loose)) {
    for (const key of Object.keys(service.environment ?? {}))
      assert.ok(!/PASSWORD$|KEY$|TOKEN$/.test(key), `${name}: ${key} would be seen by all who see the process`)
    for (const mount of (service.volumes ?? []) as string[]) {
      const [from = ''] = mount.split(':')
      if (from.startsWith('./')) assert.ok(statSync(path.join(deploy, 'compose', from)), from)
      else assert.ok(from in volumes, from)
    }
  }
  assert.match(read('compose/postgres-init.sh'), /synchronous_standby_names = 'ANY 1 \(standby\)'/)
  const address = services.balancer.networks.inside.ipv4_address as string
  assert.ok(read('compose/coffer.hcl').includes(`proxy_protocol_authorized_addrs = "${address}"`))
  for (const script of files.filter((name) => name.endsWith('.sh')))
    assert.equal(spawnSync('sh', ['-n', path.join(deploy, script)]).status, 0, script)
})

test('kubernetes: restricted pods, probes that do not restart for a database, selectors that meet', () => {
  const { resources } = manifest('kustomization.yaml')
  for (const name of resources) assert.ok(manifest(name).kind, name)
  const deployment = manifest('deployment.yaml')
  const { spec } = deployment.spec.template
  const [container] = spec.containers
  assert.equal(spec.securityContext.runAsNonRoot, true)
  assert.equal(spec.securityContext.seccompProfile.type, 'RuntimeDefault')
  assert.equal(spec.automountServiceAccountToken, false)
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  assert.equal(container.livenessProbe.httpGet.path, '/v1/sys/leader')
  assert.equal(container.readinessProbe.httpGet.path, '/v1/sys/health')
  assert.equal(container.startupProbe.httpGet.path, '/v1/sys/health?sealedcode=200&uninitcode=200')
  const labels = deployment.spec.template.metadata.labels
  for (const selector of [
    deployment.spec.selector.matchLabels,
    manifest('service.yaml').spec.selector,
    manifest('poddisruptionbudget.yaml').spec.selector.matchLabels,
    manifest('networkpolicy.yaml').spec.podSelector.matchLabels,
  ])
    assert.deepEqual(selector, labels)
  const volumes = new Set(spec.volumes.map(({ name }: Loose) => name))
  for (const { name, readOnly } of container.volumeMounts) {
    assert.ok(volumes.has(name), name)
    assert.ok(readOnly || name === 'tmp', `${name} is writable`)
  }
})

test('systemd: the unit is hardened, and systemd takes it where there is one', () => {
  const unit = read('systemd/coffer.service')
  for (const line of [
    'User=coffer',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'CapabilityBoundingSet=',
    'LimitCORE=0',
    'UMask=0077',
  ])
    assert.ok(unit.split('\n').includes(line), line)
  const { error, stderr } = spawnSync('systemd-analyze', ['verify', path.join(deploy, 'systemd/coffer.service')], {
    encoding: 'utf8',
  })
  if (error) return
  // The program is not installed here; nothing else may be wrong.
  const wrong = stderr
    .split('\n')
    .filter((line) => line.startsWith('coffer.service') && !/is not executable/.test(line))
  assert.deepEqual(wrong, [])
})
