{{/* Names, labels and what every pod of ours has in common. */}}

{{- define "quietwater.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 20 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 20 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "quietwater.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "quietwater.labels" -}}
{{ include "quietwater.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "quietwater.secret" -}}
{{- .Values.existingSecret | default (printf "%s-secrets" (include "quietwater.name" .)) -}}
{{- end -}}

{{- define "quietwater.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "quietwater.broker-host" -}}
{{- .Values.mosquitto.host | default .Values.host -}}
{{- end -}}

{{- define "quietwater.environment" -}}
{{- $name := include "quietwater.name" . -}}
- {name: QUIETWATER_REGISTRY, value: {{ .Values.registry.url | default (printf "postgresql://quietwater@%s-postgres/quietwater" $name) | quote }}}
- {name: QUIETWATER_REGISTRY_PASSWORD_FILE, value: /run/secrets/quietwater/registry}
- {name: QUIETWATER_STORE, value: {{ .Values.store.url | default (printf "http://%s-influxdb:8086?org=quietwater" $name) | quote }}}
- {name: QUIETWATER_INFLUX_TOKEN_FILE, value: /run/secrets/quietwater/influx_token}
- {name: QUIETWATER_BROKER, value: {{ printf "mqtt://%s-mosquitto:1883" $name | quote }}}
- {name: QUIETWATER_BROKER_PASSWORD_FILE, value: /run/secrets/quietwater/broker}
- {name: QUIETWATER_METRICS_TOKEN_FILE, value: /run/secrets/quietwater/metrics}
- {name: QUIETWATER_BASE_URL, value: {{ printf "https://%s" .Values.host | quote }}}
- {name: QUIETWATER_DEVICE_BROKER, value: {{ printf "mqtts://%s:%v" (include "quietwater.broker-host" .) .Values.mosquitto.service.port | quote }}}
- {name: TMPDIR, value: /tmp}
{{- end -}}

{{- define "quietwater.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "quietwater.pod-security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: {{ .group | default 10001 }}
fsGroup: {{ .group | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "quietwater.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}

{{/* Storage that one node alone mounts holds its pods together. */}}
{{- define "quietwater.beside-the-data" -}}
{{- if eq .root.Values.data.accessMode "ReadWriteOnce" }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, quietwater/shares-data: "yes"}
{{- end }}
{{- end -}}

{{- define "quietwater.claim" -}}
accessModes: [{{ .mode | default "ReadWriteOnce" }}]
{{- with .class }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end -}}
