{{/*
What a JSON schema cannot say, because it takes arithmetic or comparing two values. Rendered with the configuration file, so that
nothing is installed that breaks one of these. Two rules of the schema are repeated in plain words, for those who switch it off.
*/}}
{{- define "miroir.validate" -}}
{{- $v := .Values -}}
{{- $groups := int $v.cluster.groups -}}
{{- $factor := int $v.cluster.replicationFactor -}}

{{- if and (eq $v.store.kind "sqlite") (gt (int $v.control.replicas) 1) -}}
{{- fail (printf "control.replicas is %d, and store.kind is sqlite, a file that one process uses; set store.kind to redis, or control.replicas to 1" (int $v.control.replicas)) -}}
{{- end -}}

{{- if and $v.redis.enabled (gt (len $v.externalRedis.hosts) 0) -}}
{{- fail "redis.enabled and externalRedis.hosts are both set; keep the one that the control plane shall use" -}}
{{- end -}}

{{- if $v.redis.enabled -}}
{{- include "miroir.validate.redisMemory" . -}}
{{- end -}}

{{- include "miroir.validate.nodes" . -}}

{{- if gt (int $v.cluster.minInSync) (mul $groups $factor) -}}
{{- fail (printf "cluster.minInSync is %d, but cluster.groups × cluster.replicationFactor makes %d copies: no write would ever be accepted" (int $v.cluster.minInSync) (mul $groups $factor)) -}}
{{- end -}}

{{- $scaling := $v.proxy.autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "proxy.autoscaling.minReplicas (%d) is more than maxReplicas (%d)" (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}

{{- if ge (int $v.proxy.preStopSeconds) (int $v.proxy.terminationGracePeriodSeconds) -}}
{{- fail (printf "proxy.preStopSeconds (%d) must be less than proxy.terminationGracePeriodSeconds (%d), or a proxy is killed before it is told to stop" (int $v.proxy.preStopSeconds) (int $v.proxy.terminationGracePeriodSeconds)) -}}
{{- end -}}

{{- $key := $v.searchUi.scopedKey -}}
{{- if or (lt (int $key.rotateBeforeExpiryDays) 1) (ge (int $key.rotateBeforeExpiryDays) (int $key.maxAgeDays)) -}}
{{- fail (printf "searchUi.scopedKey.rotateBeforeExpiryDays (%d) must be at least 1 and less than maxAgeDays (%d): otherwise a key expires before its rotation, or is rotated as soon as it is made" (int $key.rotateBeforeExpiryDays) (int $key.maxAgeDays)) -}}
{{- end -}}
{{- end -}}

{{/* Tasks may take three fifths of Redis' memory: it refuses every write when it is full, and sessions and idempotency keys need the rest. */}}
{{- define "miroir.validate.redisMemory" -}}
{{- $units := dict "b" 1 "k" 1000 "kb" 1024 "m" 1000000 "mb" 1048576 "g" 1000000000 "gb" 1073741824 -}}
{{- $number := regexFind "^[0-9]+" .Values.redis.maxMemory | int64 -}}
{{- $unit := regexFind "[a-z]*$" .Values.redis.maxMemory | default "b" -}}
{{- $room := div (mul $number (get $units $unit) 3) 5 -}}
{{- $tasks := int64 .Values.store.taskRetentionMax -}}
{{- if gt (mul $tasks 1250) $room -}}
{{- fail (printf "store.taskRetentionMax is %d, which takes %d bytes of Redis' memory; redis.maxMemory (%s) has room for %d tasks. Raise it, or keep fewer" $tasks (mul $tasks 1250) .Values.redis.maxMemory (div $room 1250)) -}}
{{- end -}}
{{- end -}}

{{/* Every group needs as many nodes as it keeps copies of a shard. Nodes without a group are dealt out over the groups in turn, as Miroir does. */}}
{{- define "miroir.validate.nodes" -}}
{{- $groups := int .Values.cluster.groups -}}
{{- $factor := int .Values.cluster.replicationFactor -}}
{{- $nodes := include "miroir.nodes" . | fromYamlArray -}}
{{- if lt (len $nodes) (mul $groups $factor | int) -}}
{{- fail (printf "%d nodes cannot hold cluster.groups (%d) × cluster.replicationFactor (%d) = %d copies of a shard; add nodes, or ask for fewer copies" (len $nodes) $groups $factor (mul $groups $factor)) -}}
{{- end -}}
{{- $count := dict -}}
{{- range $i, $node := $nodes -}}
{{- $group := int (ternary $node.group (mod $i $groups) (hasKey $node "group")) -}}
{{- if ge $group $groups -}}
{{- fail (printf "nodes[%d] (%s) is in group %d, but cluster.groups is %d: groups are 0 to %d" $i $node.url $group $groups (sub $groups 1)) -}}
{{- end -}}
{{- $name := toString $group -}}
{{- $_ := set $count $name (add1 (get $count $name | default 0)) -}}
{{- end -}}
{{- range $group := until $groups -}}
{{- $have := int (get $count (toString $group) | default 0) -}}
{{- if lt $have $factor -}}
{{- fail (printf "group %d has %d nodes, fewer than cluster.replicationFactor (%d): it cannot hold its copies" $group $have $factor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
