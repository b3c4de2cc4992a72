{{- define "rotator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "rotator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "rotator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rotator.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rotator.selector" -}}
app.kubernetes.io/name: {{ include "rotator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rotator.labels" -}}
{{ include "rotator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rotator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rotator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rotator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The configuration with what the chart knows better. */}}
{{- define "rotator.config" -}}
{{- $http := dict "listen" (printf "0.0.0.0:%v" .Values.port) -}}
{{- $ledger := dict "url" "sqlite:///var/lib/rotator/ledger.db" -}}
{{- $chart := dict "http" $http "ledger" $ledger -}}
{{- if .Values.leaderElection.enabled -}}
{{- $lease := dict "kind" "lease" "namespace" .Release.Namespace "name" (include "rotator.fullname" .) "lease_duration" .Values.leaderElection.leaseDuration -}}
{{- $_ := set $chart "coordination" $lease -}}
{{- end -}}
{{- toYaml (merge (deepCopy .Values.config) $chart) -}}
{{- end -}}

{{/* TCP ports of all addresses in the configuration, as a JSON list. */}}
{{- define "rotator.ports" -}}
{{- $ports := list 443 -}}
{{- range regexFindAll "(https?://)[^\\s\"']+" (toYaml .Values.config) -1 -}}
{{- $port := regexFind ":[0-9]+$" (regexFind "^https?://[^/]+" .) -}}
{{- if $port -}}
{{- $ports = append $ports (int (trimPrefix ":" $port)) -}}
{{- else if hasPrefix "http://" . -}}
{{- $ports = append $ports 80 -}}
{{- end -}}
{{- end -}}
{{- $ports = concat $ports .Values.networkPolicy.extraPorts -}}
{{- if .Values.leaderElection.enabled -}}
{{- $ports = concat $ports .Values.networkPolicy.apiServerPorts -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports -}}{{- $numbers = append $numbers (int .) -}}{{- end -}}
{{- uniq $numbers | toJson -}}
{{- end -}}
