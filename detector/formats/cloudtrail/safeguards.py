"""The operations that switch safeguards off or narrow them; see `cloudtrail_acts` for the words."""

from collections.abc import Mapping
from typing import Final

from detector.formats.cloudtrail import settings
from detector.formats.cloudtrail.acts import Act, by, disable, every

SAFEGUARDS: Final[Mapping[str, Act]] = {
    # Audit logs
    **every(
        disable("audit log"),
        "cloudtrail",
        "StopLogging DeleteTrail DeleteEventDataStore StopEventDataStoreIngestion DeleteChannel "
        "DeregisterOrganizationDelegatedAdmin",
    ),
    "cloudtrail:UpdateTrail": by(settings.trail),
    "cloudtrail:PutEventSelectors": by(settings.event_selectors),
    **every(disable("network flow log"), "ec2", "DeleteFlowLogs"),
    **every(
        disable("DNS query log"),
        "route53resolver",
        "DeleteResolverQueryLogConfig DisassociateResolverQueryLogConfig",
    ),
    "route53:DeleteQueryLoggingConfig": disable("DNS query log"),
    "s3:PutBucketLogging": by(settings.bucket_logging),
    "redshift:DisableLogging": disable("audit log"),
    "logs:PutRetentionPolicy": by(settings.retention),
    **every(disable("log forwarding"), "logs", "DeleteSubscriptionFilter DeleteDestination DeleteMetricFilter"),
    **every(disable("log forwarding"), "firehose", "DeleteDeliveryStream"),
    **every(disable("audit log"), "wafv2", "DeleteLoggingConfiguration"),
    **every(disable("audit log"), "waf", "DeleteLoggingConfiguration"),
    **every(disable("audit log"), "waf-regional", "DeleteLoggingConfiguration"),
    "bedrock:DeleteModelInvocationLoggingConfiguration": disable("audit log"),
    # Alarms
    **every(disable("alarm"), "monitoring", "DeleteAlarms DisableAlarmActions"),
    **every(disable("event rule"), "events", "DisableRule DeleteRule RemoveTargets"),
    # Threat detection
    **every(
        disable("threat detection"),
        "guardduty",
        "DeleteDetector DisassociateFromMasterAccount DisassociateFromAdministratorAccount DisassociateMembers "
        "DeleteMembers StopMonitoringMembers DisableOrganizationAdminAccount DeletePublishingDestination "
        "DeleteThreatIntelSet",
    ),
    "guardduty:UpdateDetector": by(settings.off("enable", safeguard="threat detection")),
    **every(disable("threat detection, by a list of trusted addresses"), "guardduty", "CreateIPSet UpdateIPSet"),
    "guardduty:ArchiveFindings": disable("threat findings"),
    "securityhub:BatchUpdateFindings": by(settings.suppressed),
    **every(disable("AI guardrail"), "bedrock", "DeleteGuardrail"),
    **every(by(settings.findings_filter), "guardduty", "CreateFilter UpdateFilter"),
    **every(
        disable("security posture checks"),
        "securityhub",
        "DisableSecurityHub BatchDisableStandards DisableImportFindingsForProduct DisassociateMembers DeleteMembers "
        "DisassociateFromMasterAccount DisassociateFromAdministratorAccount DisableOrganizationAdminAccount",
    ),
    **every(by(settings.control_status), "securityhub", "UpdateStandardsControl"),
    **every(
        disable("configuration recorder"),
        "config",
        "StopConfigurationRecorder DeleteConfigurationRecorder DeleteDeliveryChannel DeleteConfigurationAggregator "
        "DeleteRetentionConfiguration",
    ),
    "config:PutConfigurationRecorder": by(settings.recorder),
    **every(
        disable("configuration rule"),
        "config",
        "DeleteConfigRule DeleteOrganizationConfigRule DeleteConformancePack DeleteRemediationConfiguration "
        "DeleteOrganizationConformancePack",
    ),
    **every(disable("data classification"), "macie2", "DisableMacie DisassociateFromAdministratorAccount"),
    **every(disable("investigation graph"), "detective", "DeleteGraph DisassociateMembership"),
    **every(disable("vulnerability scan"), "inspector2", "Disable DisassociateMember"),
    "ecr:PutImageScanningConfiguration": by(
        settings.off("imagescanningconfiguration.scanonpush", safeguard="vulnerability scan")
    ),
    **every(disable("access analyzer"), "access-analyzer", "DeleteAnalyzer CreateArchiveRule"),
    # Walls
    **every(by(settings.public_access_block), "s3", "PutBucketPublicAccessBlock PutPublicAccessBlock"),
    **every(by(settings.public_access_block), "s3", "PutAccountPublicAccessBlock PutAccessPointPublicAccessBlock"),
    **every(
        disable("public access block"),
        "s3",
        "DeleteBucketPublicAccessBlock DeletePublicAccessBlock DeleteAccountPublicAccessBlock",
    ),
    **every(disable("public access block"), "ec2", "DisableImageBlockPublicAccess DisableSnapshotBlockPublicAccess"),
    **every(
        disable("web application firewall"), "wafv2", "DeleteWebACL DisassociateWebACL DeleteRuleGroup DeleteIPSet"
    ),
    **every(disable("web application firewall"), "waf", "DeleteWebACL DeleteRule DeleteRuleGroup DeleteIPSet"),
    **every(
        disable("web application firewall"),
        "waf-regional",
        "DeleteWebACL DisassociateWebACL DeleteRule DeleteRuleGroup DeleteIPSet",
    ),
    **every(
        disable("denial-of-service protection"), "shield", "DeleteProtection DeleteSubscription DisassociateDRTRole"
    ),
    **every(disable("network firewall"), "network-firewall", "DeleteFirewall DeleteFirewallPolicy DeleteRuleGroup"),
    **every(disable("DNS firewall"), "route53resolver", "DisassociateFirewallRuleGroup DeleteFirewallRuleGroup"),
    **every(disable("transfer lock"), "route53domains", "DisableDomainTransferLock"),
    "ec2:ModifyInstanceMetadataOptions": by(settings.metadata_options),
    "ec2:ModifyInstanceAttribute": by(settings.instance_attribute),
    "elasticloadbalancing:ModifyLoadBalancerAttributes": by(settings.load_balancer),
    # Encryption and recovery
    **every(disable("encryption key"), "kms", "DisableKey"),
    "kms:DisableKeyRotation": disable("key rotation"),
    "secretsmanager:CancelRotateSecret": disable("secret rotation"),
    "ec2:DisableEbsEncryptionByDefault": disable("encryption"),
    **every(disable("encryption"), "s3", "DeleteBucketEncryption"),
    "s3:PutBucketVersioning": by(settings.versioning),
    "dynamodb:UpdateContinuousBackups": by(
        settings.off("pointintimerecoveryspecification.pointintimerecoveryenabled", safeguard="backups")
    ),
    **every(disable("backups"), "backup", "DeleteBackupPlan DeleteBackupSelection DeleteBackupVaultLockConfiguration"),
    "rds:DeleteDBInstanceAutomatedBackup": disable("backups"),
}
