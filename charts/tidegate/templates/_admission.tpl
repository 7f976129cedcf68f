{{/*
Binds a ValidatingAdmissionPolicy to the namespaces that are watched. Takes a dict: root, name.
Another kind's policy is another file beside admission-*.yaml.
*/}}
{{- define "tidegate.admissionBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name | quote }}
  labels: {{- include "tidegate.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name | quote }}
  validationActions: [Deny]
  {{- with include "tidegate.namespaces" .root | fromJsonArray }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
{{- end }}

{{/* A user name as CEL text. Takes a dict: root, account. */}}
{{- define "tidegate.userName" -}}
'system:serviceaccount:{{ .root.Release.Namespace }}:{{ .account }}'
{{- end }}
