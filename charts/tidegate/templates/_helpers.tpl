{{- define "tidegate.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names of objects, without the dots that a release's name may have: Services and the Lease take none. */}}
{{- define "tidegate.fullname" -}}
{{- $name := include "tidegate.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Name of an object of the cluster: two releases of one name in two namespaces need two of them. */}}
{{- define "tidegate.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "tidegate.fullname" .) }}
{{- end }}

{{- define "tidegate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "tidegate.labels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tidegate.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "tidegate.fullname" .) }}
{{- end }}

{{- define "tidegate.releaseAccount" -}}
{{- printf "%s-release" (include "tidegate.fullname" .) }}
{{- end }}

{{/* The Service, the Secret and the certificate of the admission webhook. */}}
{{- define "tidegate.admissionName" -}}
{{- printf "%s-admission" (include "tidegate.fullname" .) }}
{{- end }}

{{- define "tidegate.leaseName" -}}
{{- .Values.settings.leaseName | default (include "tidegate.fullname" .) }}
{{- end }}

{{- define "tidegate.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The watched namespaces as JSON, sorted; [] for the whole cluster. */}}
{{- define "tidegate.namespaces" -}}
{{- if .Values.watchNamespaces -}}
{{- .Values.watchNamespaces | uniq | sortAlpha | toJson }}
{{- else if eq .Values.rbac.scope "namespaces" -}}
{{- list .Release.Namespace | toJson }}
{{- else -}}
[]
{{- end -}}
{{- end }}

{{/* What both our containers may not do. */}}
{{- define "tidegate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
