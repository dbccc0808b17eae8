{{/* Name of the chart in labels. */}}
{{- define "miroir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
Prefix of every object's name: 40 characters at most, because the longest suffix and the hash that StatefulSets put into a label
have to fit behind it. A longer one is cut and told apart by a digest.
*/}}
{{- define "miroir.fullname" -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $name := include "miroir.name" . -}}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- if gt (len $full) 40 -}}
{{- printf "%s-%s" ($full | trunc 31 | trimSuffix "-") ($full | sha256sum | trunc 8) -}}
{{- else -}}
{{- $full | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a component: (list $ "proxy"). They never change in a release's life. */}}
{{- define "miroir.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "miroir.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of every object: (list $ "proxy" version). */}}
{{- define "miroir.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "miroir.selectorLabels" . }}
app.kubernetes.io/version: {{ regexReplaceAll "[^A-Za-z0-9._-]" (index . 2) "_" | trunc 63 | trimAll "._-" | quote }}
app.kubernetes.io/part-of: {{ include "miroir.name" $root }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Labels of a pod template: (list $ "proxy" values-of-the-component). The chart's version is not among them, so that a new chart alone
restarts no node.
*/}}
{{- define "miroir.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "miroir.selectorLabels" (list $root (index . 1)) }}
app.kubernetes.io/part-of: {{ include "miroir.name" $root }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with (index . 2).podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Version in the labels of Miroir's own objects. */}}
{{- define "miroir.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{/* Reference of an image: (list image-values default-tag). */}}
{{- define "miroir.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default (index . 1)) -}}
{{- end -}}
{{- end -}}

{{- define "miroir.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "miroir.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Name of the Secret with the three keys. */}}
{{- define "miroir.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "miroir.fullname" .) -}}
{{- end -}}

{{/* Environment variable from one of the three keys: (list $ "MIROIR_ADMIN_KEY" "adminKey"). */}}
{{- define "miroir.keyEnv" -}}
{{- $root := index . 0 -}}
{{- $names := dict "masterKey" "master-key" "adminKey" "admin-key" "nodeKey" "node-key" -}}
{{- $keys := ternary $root.Values.secrets.existingSecretKeys $names (ne $root.Values.secrets.existingSecret "") -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "miroir.secretName" $root }}
      key: {{ index $keys (index . 2) }}
{{- end -}}

{{/* Whether the chart makes the Redis password's Secret itself, or takes it from one, or there is none: made, existing, none. */}}
{{- define "miroir.redisPassword" -}}
{{- $auth := ternary .Values.redis.auth .Values.externalRedis.auth .Values.redis.enabled -}}
{{- if ne .Values.store.kind "redis" -}}none
{{- else if $auth.existingSecret -}}existing
{{- else if $auth.password -}}made
{{- else -}}none
{{- end -}}
{{- end -}}

{{/* Where Redis is, without scheme and credentials, with its parameters. */}}
{{- define "miroir.redisPlace" -}}
{{- $external := .Values.externalRedis -}}
{{- if .Values.redis.enabled -}}
{{- printf "%s-redis.%s.svc:6379/0" (include "miroir.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- join "," $external.hosts -}}
{{- if eq $external.mode "sentinel" -}}{{- printf "/%s" $external.primaryName -}}{{- end -}}
{{- if ne $external.mode "cluster" -}}{{- printf "/%d" (int $external.database) -}}{{- end -}}
{{- $parameters := list -}}
{{- if ne $external.keyPrefix "miroir" -}}{{- $parameters = append $parameters (printf "key_prefix=%s" $external.keyPrefix) -}}{{- end -}}
{{- if gt (int $external.waitReplicas) 0 -}}{{- $parameters = append $parameters (printf "wait_replicas=%d" (int $external.waitReplicas)) -}}{{- end -}}
{{- with $parameters -}}{{- printf "?%s" (join "&" .) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "miroir.redisScheme" -}}
{{- if .Values.redis.enabled -}}redis
{{- else -}}
{{- ternary "rediss" "redis" .Values.externalRedis.tls.enabled -}}
{{- if ne .Values.externalRedis.mode "single" -}}+{{ .Values.externalRedis.mode }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The store's URL without credentials, as it stands in the configuration file. */}}
{{- define "miroir.storeUrl" -}}
{{- if eq .Values.store.kind "sqlite" -}}
sqlite:///data/control.db
{{- else -}}
{{- printf "%s://%s" (include "miroir.redisScheme" .) (include "miroir.redisPlace" .) -}}
{{- end -}}
{{- end -}}

{{/* Text as part of a URL, percent-encoded. */}}
{{- define "miroir.urlPart" -}}
{{- . | urlquery | replace "+" "%20" -}}
{{- end -}}

{{/* The store's URL with the given password in it (already encoded): (list $ password). */}}
{{- define "miroir.storeUrlWith" -}}
{{- $root := index . 0 -}}
{{- $user := ternary "" $root.Values.externalRedis.auth.username $root.Values.redis.enabled -}}
{{- printf "%s://%s:%s@%s" (include "miroir.redisScheme" $root) (include "miroir.urlPart" $user) (index . 1) (include "miroir.redisPlace" $root) -}}
{{- end -}}

{{/* Changes with the secrets that follow the root in the list, so that pods are replaced with them; they cannot be read from it. */}}
{{- define "miroir.fingerprint" -}}
{{- $root := index . 0 -}}
{{- printf "%s/%s/%s" $root.Release.Namespace $root.Release.Name (rest . | toJson) | sha256sum -}}
{{- end -}}

{{/* Certificates for the store: paths under which control.yaml mounts them; empty for none. */}}
{{- define "miroir.storeTls" -}}
{{- $tls := .Values.externalRedis.tls -}}
{{- if and (eq .Values.store.kind "redis") (not .Values.redis.enabled) $tls.enabled -}}
{{- if $tls.caSecret }}
ca: /etc/miroir-store-ca/{{ $tls.caSecretKey }}
{{- end }}
{{- if $tls.clientSecret }}
cert: /etc/miroir-store-client/tls.crt
key: /etc/miroir-store-client/tls.key
{{- end }}
{{- end -}}
{{- end -}}

{{/* MIROIR_STORE, where the store's URL holds a password. */}}
{{- define "miroir.storeEnv" -}}
{{- $password := include "miroir.redisPassword" . -}}
{{- if eq $password "made" }}
- name: MIROIR_STORE
  valueFrom:
    secretKeyRef:
      name: {{ include "miroir.fullname" . }}-redis
      key: store-url
{{- else if eq $password "existing" }}
{{- $auth := ternary .Values.redis.auth .Values.externalRedis.auth .Values.redis.enabled }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $auth.existingSecret }}
      key: {{ $auth.existingSecretKey }}
- name: MIROIR_STORE
  value: {{ include "miroir.storeUrlWith" (list . "$(REDIS_PASSWORD)") | quote }}
{{- end }}
{{- end -}}

{{/* The fleet's nodes, as the configuration file names them. */}}
{{- define "miroir.nodes" -}}
{{- $nodes := list -}}
{{- if .Values.meilisearch.enabled -}}
{{- $name := printf "%s-meilisearch" (include "miroir.fullname" .) -}}
{{- range $i := until (int .Values.meilisearch.replicas) -}}
{{- $url := printf "http://%s-%d.%s-headless.%s.svc:7700" $name $i $name $.Release.Namespace -}}
{{- $nodes = append $nodes (dict "id" (printf "node-%d" $i) "url" $url "group" (mod $i (int $.Values.cluster.groups))) -}}
{{- end -}}
{{- else -}}
{{- range .Values.nodes -}}
{{- $node := dict "url" .url -}}
{{- with .id -}}{{- $_ := set $node "id" . -}}{{- end -}}
{{- if hasKey . "group" -}}{{- $_ := set $node "group" (int .group) -}}{{- end -}}
{{- with .zone -}}{{- $_ := set $node "zone" . -}}{{- end -}}
{{- with .weight -}}{{- $_ := set $node "weight" . -}}{{- end -}}
{{- $nodes = append $nodes $node -}}
{{- end -}}
{{- end -}}
{{- toYaml $nodes -}}
{{- end -}}

{{/* The configuration file of control plane and proxies; no secret is in it. */}}
{{- define "miroir.config" -}}
{{- include "miroir.validate" . -}}
{{- $c := .Values.cluster -}}
http: 0.0.0.0:7700
grpc: 0.0.0.0:7800
data_dir: /data
{{- if .Values.control.backups.existingClaim }}
dumps_dir: /backups/dumps
snapshots_dir: /backups/snapshots
{{- end }}
store: {{ include "miroir.storeUrl" . | quote }}
{{- with include "miroir.storeTls" . | trim }}
store_tls:
  {{- . | nindent 2 }}
{{- end }}
task_retention_max: {{ int64 .Values.store.taskRetentionMax }}
task_retention_hours: {{ int .Values.store.taskRetentionHours }}
history_retention_hours: {{ int .Values.store.historyRetentionHours }}
control_replicas: {{ int .Values.control.replicas }}
control:
  {{- range $i := until (int .Values.control.replicas) }}
  - {{ include "miroir.fullname" $ }}-control-{{ $i }}.{{ include "miroir.fullname" $ }}-control-headless.{{ $.Release.Namespace }}.svc:7800
  {{- end }}
groups: {{ int $c.groups }}
replication_factor: {{ int $c.replicationFactor }}
shards: {{ int $c.shards }}
min_in_sync: {{ int $c.minInSync }}
unavailable_shard_policy: {{ $c.unavailableShardPolicy }}
read_spread: {{ $c.readSpread }}
hedge_percent: {{ $c.hedgePercent }}
adaptive_reads: {{ $c.adaptiveReads }}
coalesce_searches: {{ $c.coalesceSearches }}
max_concurrent_reads: {{ int $c.maxConcurrentReads }}
max_queued_reads: {{ int $c.maxQueuedReads }}
read_timeout_ms: {{ int $c.readTimeoutMs }}
http_payload_size_limit: {{ int64 $c.httpPayloadSizeLimit }}
spool_threshold: {{ int64 $c.spoolThreshold }}
lease_duration_ms: {{ int $c.leaseDurationMs }}
leader_lease_ms: {{ int $c.leaderLeaseMs }}
write_hold_ms: {{ int $c.writeHoldMs }}
node_write_timeout_ms: {{ int $c.nodeWriteTimeoutMs }}
log_level: {{ $c.logLevel }}
nodes:
  {{- include "miroir.nodes" . | nindent 2 }}
{{- end -}}

{{/* What a pod's place depends on: (list $ "proxy" values-of-the-component). Without an affinity, pods of a component avoid each other's machine. */}}
{{- define "miroir.scheduling" -}}
{{- $v := index . 2 -}}
affinity:
{{- if $v.affinity }}
  {{- toYaml $v.affinity | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "miroir.selectorLabels" (list (index . 0) (index . 1)) | nindent 14 }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* A StatefulSet's volume claim: values under `persistence`. */}}
{{- define "miroir.claim" -}}
- metadata:
    name: data
    {{- with .annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    accessModes:
      {{- toYaml .accessModes | nindent 6 }}
    {{- with .storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources:
      requests:
        storage: {{ .size }}
{{- end -}}

{{/* Disruption budget: (list $ "proxy" values). */}}
{{- define "miroir.disruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "miroir.fullname" $root }}-{{ $component }}
  labels:
    {{- include "miroir.labels" (list $root $component (include "miroir.version" $root)) | nindent 4 }}
spec:
  maxUnavailable: {{ (index . 2).maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "miroir.selectorLabels" (list $root $component) | nindent 6 }}
{{- end -}}

{{/* Whether there can be more than one proxy: "true" or nothing. */}}
{{- define "miroir.manyProxies" -}}
{{- if or .Values.proxy.autoscaling.enabled (gt (int .Values.proxy.replicas) 1) -}}true{{- end -}}
{{- end -}}
