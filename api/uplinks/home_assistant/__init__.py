"""Sites, noise devices and water meters as entities of Home Assistant, by its MQTT discovery."""
