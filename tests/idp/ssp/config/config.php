<?php
// A SAML identity provider for tests; what differs is in the environment (tests/providers.py).
$about = json_decode(getenv('SSP'), true);
$here = $about['directory'];
$config = [
    'baseurlpath' => $about['url'] . '/',
    'certdir' => "$here/", 'loggingdir' => "$here/", 'datadir' => "$here/", 'tempdir' => "$here/",
    'metadatadir' => __DIR__ . '/../metadata/',
    'timezone' => 'UTC', 'secretsalt' => 'only for tests', 'auth.adminpassword' => $about['admin'],
    'technicalcontact_email' => 'nobody@example.test',
    'logging.level' => SimpleSAML\Logger::NOTICE, 'logging.handler' => 'file', 'logging.logfile' => 'ssp.log',
    'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.cookie.secure' => false, 'session.phpsession.savepath' => $here, 'session.cookie.samesite' => null,
    'language.default' => 'en', 'language.available' => ['en'],
    'store.type' => 'phpsession', 'debug' => null, 'showerrors' => true, 'errorreporting' => false,
    'authproc.idp' => [], 'metadata.sources' => [['type' => 'flatfile']], 'trusted.url.domains' => [],
];
