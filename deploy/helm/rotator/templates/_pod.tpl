{{- define "rotator.env" -}}
{{- if or .Values.secretEnv .Values.extraEnv }}
env:
  {{- range $name, $from := .Values.secretEnv }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef:
        name: {{ $from.secret }}
        key: {{ $from.key }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "rotator.volumes" -}}
- name: config
  configMap:
    name: {{ default (include "rotator.fullname" .) .Values.existingConfigMap }}
- name: ledger
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ default (include "rotator.fullname" .) .Values.persistence.existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.emptyDir.sizeLimit }}
  {{- end }}
{{- if .Values.leaderElection.enabled }}
- name: kubernetes-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - {key: ca.crt, path: ca.crt}
      - downwardAPI:
          items:
            - path: namespace
              fieldRef: {fieldPath: metadata.namespace}
{{- end }}
{{- if .Values.vaultToken.enabled }}
- name: vault-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ .Values.vaultToken.audience }}
          expirationSeconds: {{ .Values.vaultToken.expirationSeconds }}
{{- end }}
{{- range $name, $mount := .Values.secretMounts }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ $mount.secret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
