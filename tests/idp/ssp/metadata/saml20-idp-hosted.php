<?php
$about = json_decode(getenv('SSP'), true);
$metadata[$about['url'] . '/idp'] = [
    'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'userpass',
    'NameIDFormat' => $about['format'],
    'saml20.sign.assertion' => $about['assertion'], 'saml20.sign.response' => $about['response'],
    'signature.algorithm' => $about['algorithm'],
    'authproc' => [3 => ['class' => 'saml:AttributeNameID', 'attribute' => 'uid', 'Format' => $about['format']]],
];
