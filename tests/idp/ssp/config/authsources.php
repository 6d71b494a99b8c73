<?php
$about = json_decode(getenv('SSP'), true);
$people = ['exampleauth:UserPass'];
foreach (json_decode(file_get_contents($about['people']), true) as $name => $given) {
    $people["$name:any"] = ['uid' => [$name], 'email' => ["$name@example.test"], 'groups' => $given['groups'] ?? []];
}
$config = ['userpass' => $people, 'admin' => ['core:AdminPassword']];
