"""What providers tell afterwards: delivered, bounced, complained, STOP. One module per sender, one that writes."""
