SELECT count() AS findings
FROM findings
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(time) AND severity <= 'SEV2'
