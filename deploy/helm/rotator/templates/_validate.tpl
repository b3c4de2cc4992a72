{{/* What no schema can say: each mistake in one line, with its remedy. */}}
{{- define "rotator.validate" -}}
{{- $v := .Values -}}
{{- if and $v.config $v.existingConfigMap -}}
{{- fail "config and existingConfigMap: give one of the two" -}}
{{- end -}}
{{- if not (or $v.config $v.existingConfigMap) -}}
{{- fail "config: is empty; write targets, sources and rotations there, or name an existingConfigMap" -}}
{{- end -}}
{{- if and (gt (int $v.replicaCount) 1) (not $v.leaderElection.enabled) -}}
{{- fail (printf "replicaCount: %d replicas would all rotate; set leaderElection.enabled" (int $v.replicaCount)) -}}
{{- end -}}
{{- if and (gt (int $v.replicaCount) 1) $v.persistence.enabled (not (has "ReadWriteMany" $v.persistence.accessModes)) -}}
{{- fail "persistence: a volume of one pod can't be shared by several; set replicaCount: 1, or persistence.enabled: false (each replica has a ledger of its own then)" -}}
{{- end -}}
{{- if has "ReadWriteMany" $v.persistence.accessModes -}}
{{- fail "persistence.accessModes: SQLite is not safe on file systems that several nodes share; use ReadWriteOnce or ReadWriteOncePod" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "serviceMonitor and podMonitor: both would scrape the same pods; enable one" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled (not $v.service.enabled) -}}
{{- fail "serviceMonitor: needs service.enabled, or use podMonitor" -}}
{{- end -}}
{{- with $v.podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- fail "podDisruptionBudget: give either minAvailable or maxUnavailable (null leaves one out)" -}}
{{- end -}}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) -}}
{{- fail "podDisruptionBudget: give minAvailable or maxUnavailable" -}}
{{- end -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (eq (int $v.replicaCount) 1) -}}
{{- fail "podDisruptionBudget.minAvailable: with one replica it lets no node be drained; use maxUnavailable: 1" -}}
{{- end -}}
{{- end -}}
{{- with $v.config -}}
{{- if hasKey . "coordination" -}}
{{- fail "config.coordination: the chart writes it; set leaderElection.enabled and leaseDuration" -}}
{{- end -}}
{{- if and .http .http.listen (ne .http.listen (printf "0.0.0.0:%v" $v.port)) (ne .http.listen (printf "[::]:%v" $v.port)) -}}
{{- fail (printf "config.http.listen: %s is not where probes and Service look; leave it out, or write 0.0.0.0:%v (see port)" .http.listen $v.port) -}}
{{- end -}}
{{- if and .ledger .ledger.url (not (hasPrefix "sqlite:///var/lib/rotator/" .ledger.url)) -}}
{{- fail (printf "config.ledger.url: %s is outside of the volume; leave it out, or write sqlite:///var/lib/rotator/NAME" .ledger.url) -}}
{{- end -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) $v.leaderElection.enabled -}}
{{- fail "serviceAccount.name: leaderElection gives it permissions; name the one to use, or set serviceAccount.create" -}}
{{- end -}}
{{- range $name, $source := $v.config.sources -}}
{{- $auth := dict -}}
{{- if kindIs "map" $source -}}{{- if kindIs "map" $source.auth -}}{{- $auth = $source.auth -}}{{- end -}}{{- end -}}
{{- if eq (toString $auth.method) "kubernetes" -}}
{{- $file := default "/var/run/secrets/kubernetes.io/serviceaccount/token" $auth.token_file -}}
{{- include "rotator.validate.token" (dict "Values" $v "key" (printf "config.sources.%s.auth.token_file" $name) "file" (toString $file)) -}}
{{- else if and (eq (toString $auth.method) "jwt") (kindIs "map" $auth.jwt) -}}
{{- include "rotator.validate.token" (dict "Values" $v "key" (printf "config.sources.%s.auth.jwt.file" $name) "file" (toString $auth.jwt.file)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A token file of a login to Vault, where it is one that the chart would have to mount. */}}
{{- define "rotator.validate.token" -}}
{{- $v := .Values -}}
{{- $file := .file -}}
{{- $mounted := false -}}
{{- range $v.extraVolumeMounts -}}
{{- if or (eq $file .mountPath) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $file) -}}{{- $mounted = true -}}{{- end -}}
{{- end -}}
{{- range $v.secretMounts -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $file -}}{{- $mounted = true -}}{{- end -}}
{{- end -}}
{{- if and (hasPrefix "/var/run/secrets/vault/" $file) (not $v.vaultToken.enabled) (not $mounted) -}}
{{- fail (printf "%s: nothing is mounted at %s; set vaultToken.enabled" .key $file) -}}
{{- end -}}
{{- if and (hasPrefix "/var/run/secrets/kubernetes.io/serviceaccount/" $file) (not $v.leaderElection.enabled) (not $mounted) -}}
{{- fail (printf "%s: no token is mounted at %s; set vaultToken.enabled, and here /var/run/secrets/vault/token" .key $file) -}}
{{- end -}}
{{- end -}}
