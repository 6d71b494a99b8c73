<?php
$about = json_decode(getenv('SSP'), true);
$metadata[$about['gateway']] = ['AssertionConsumerService' => $about['callback']];
