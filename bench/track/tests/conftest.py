from track_projects import project as project
